"""What the schema of a tool's parameters says, for styles that write one parameter after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

KINDS = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
"""What a value can be."""

_VALUES = frozenset({"const", "default", "enum", "examples"})
"""Keywords under which there are values and no schemas."""

_NAMED = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
"""Keywords under which there are schemas by names, which may be those of keywords."""

_WHOLE = "#/$defs/parameters"

_DEEP = 128
"""Schemas within schemas that are looked at; the library refuses deeper ones."""


class Parameters:
    """The parameters of one tool.

    Args:
        schema: of the object of all of them; its references lead to places within it.

    Attributes:
        properties: the schema of each parameter, also of those that a reference or ``allOf`` brings.
        required: names of those that must be there.
    """

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        self._root = dict(schema or {})
        self._known: dict[str, frozenset[str]] = {}
        self.properties: dict[str, Any] = {}
        required: set[str] = set()
        for part in self._parts():
            properties, must = part.get("properties"), part.get("required")
            self.properties |= properties if isinstance(properties, dict) else {}
            required |= {key for key in must if isinstance(key, str)} if isinstance(must, list) else set()
        self.required = frozenset(required & self.properties.keys())

    def kinds(self, name: str) -> frozenset[str]:
        """What a parameter's value can be; all `KINDS` where the schema does not say."""
        return self._kinds(self.properties.get(name, True))

    def texts(self, name: str) -> list[str] | None:
        """The texts that a parameter's value is one of; None where they are not counted."""
        schema = self._followed(self.properties.get(name))
        either = schema.get("anyOf") or schema.get("oneOf") if isinstance(schema, dict) else None
        found: list[Any] = []
        for one in map(self._followed, either) if isinstance(either, list) else (schema,):
            if not isinstance(one, dict):
                return None
            if "const" in one:
                found.append(one["const"])
            elif isinstance(one.get("enum"), list):
                found += one["enum"]
            elif one.get("type") == "null":
                found.append(None)
            else:
                return None
        return [one if isinstance(one, str) else msgspec.json.encode(one).decode() for one in found]

    def alone(self, name: str) -> dict[str, Any]:
        """The schema of one parameter as a document of its own."""
        return {
            "$ref": "#/$defs/value",
            "$defs": {"value": self._moved(self.properties[name]), "parameters": self._moved(self._root)},
        }

    def _parts(self) -> Iterator[dict[str, Any]]:
        """The schema of the whole, and those that hold together with it."""
        seen: set[str] = set()
        left: list[Any] = [self._root]
        while left:
            schema = left.pop()
            if not isinstance(schema, dict):
                continue
            yield schema
            together, reference = schema.get("allOf"), schema.get("$ref")
            left += together if isinstance(together, list) else ()
            if isinstance(reference, str) and reference not in seen:
                seen.add(reference)
                left.append(self._at(reference))

    def _kinds(self, schema: Any, depth: int = 0) -> frozenset[str]:
        if not isinstance(schema, dict) or depth > _DEEP:
            return frozenset() if schema is False else KINDS
        kind, either = schema.get("type"), schema.get("anyOf") or schema.get("oneOf")
        found = KINDS
        if kind is not None:
            found &= {one for one in (kind if isinstance(kind, list) else [kind]) if isinstance(one, str)}
        if "const" in schema:
            found &= kinds_of(schema["const"])
        if isinstance(schema.get("enum"), list):
            found &= frozenset[str]().union(*map(kinds_of, schema["enum"]))
        if isinstance(either, list):
            found &= frozenset[str]().union(*(self._kinds(one, depth + 1) for one in either))
        for one in schema["allOf"] if isinstance(schema.get("allOf"), list) else ():
            found &= self._kinds(one, depth + 1)
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference not in self._known:
                self._known[reference] = KINDS  # what refers to itself says nothing more
                self._known[reference] = self._kinds(self._at(reference), depth + 1)
            found &= self._known[reference]
        return found

    def _followed(self, schema: Any) -> Any:
        """What references lead to."""
        seen: set[str] = set()
        while isinstance(schema, dict) and isinstance(reference := schema.get("$ref"), str) and reference not in seen:
            seen.add(reference)
            schema = self._at(reference)
        return schema

    def _at(self, reference: str) -> Any:
        """What a reference leads to; True, which is any value, where that is not known."""
        own = self._root.get("$id")
        if isinstance(own, str):
            reference = reference.removeprefix(own.removesuffix("#"))
        if not reference.startswith("#/"):
            return self._root if reference in {"", "#"} else True
        found: Any = self._root
        for step in unquote(reference[2:]).split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                return True
        return found

    def _moved(self, schema: Any, depth: int = 0) -> Any:
        """A schema whose references are right within the document that `alone` makes."""
        if isinstance(schema, list):
            return [self._moved(one, depth + 1) for one in schema]
        if not isinstance(schema, dict) or depth > _DEEP:
            return schema
        moved: dict[str, Any] = {}
        for key, value in schema.items():
            if key in _VALUES:
                moved[key] = value
            elif key in _NAMED and isinstance(value, dict):
                moved[key] = {name: self._moved(one, depth + 1) for name, one in value.items()}
            elif key == "$ref" and isinstance(value, str):
                moved[key] = self._led(value)
            elif schema is not self._root or key not in {"$id", "$schema"}:
                moved[key] = self._moved(value, depth + 1)
        return moved

    def _led(self, reference: str) -> str:
        own = self._root.get("$id")
        if isinstance(own, str):
            reference = reference.removeprefix(own.removesuffix("#")) or "#"
        return _WHOLE + reference[1:] if reference == "#" or reference.startswith("#/") else reference


def kinds_of(value: Any) -> frozenset[str]:
    """What a value is; whole numbers are numbers too."""
    if value is None:
        return frozenset({"null"})
    if isinstance(value, bool):
        return frozenset({"boolean"})
    if isinstance(value, int):
        return frozenset({"integer", "number"})
    by_type = {float: "number", str: "string", list: "array", dict: "object"}
    return frozenset({by_type[type(value)]})
