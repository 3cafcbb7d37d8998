"""Structured output in requests: OpenAI's ``response_format``, and the names that other servers have for more.

Names: ``grammar`` and ``json_schema`` as llama-server has them, ``guided_json``, ``guided_regex``, ``guided_choice``,
``guided_grammar`` and ``structured_outputs`` as vLLM has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from rbee.contract.errors import InvalidRequestError

Kind = Literal["json", "regex", "choice", "grammar"]


class Structure(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer must be.

    Attributes:
        kind: how `value` says it.
        value: a JSON schema, a regular expression, a list of texts, a grammar.
        param: the parameter that asked for it, for errors.
    """

    kind: Kind
    value: Any
    param: str


_DIRECT: Mapping[str, Kind] = MappingProxyType(
    {
        "json_schema": "json",
        "guided_json": "json",
        "guided_regex": "regex",
        "guided_choice": "choice",
        "guided_grammar": "grammar",
        "grammar": "grammar",
    }
)
_WITHIN: Mapping[str, Kind] = MappingProxyType(
    {"json": "json", "regex": "regex", "choice": "choice", "grammar": "grammar"}
)

PARAMETERS = frozenset({"response_format", "structured_outputs", *_DIRECT})


def structure_of(body: Mapping[str, Any]) -> Structure | None:
    """What a request wants its answer to be; None for free text.

    Raises:
        InvalidRequestError: malformed, or more than one thing is wanted.
    """
    found = [one for one in (_format(body.get("response_format")), *_others(body)) if one is not None]
    if len(found) > 1:
        both = " and ".join(repr(one.param) for one in found[:2])
        raise InvalidRequestError(f"{both} exclude each other; send one of them.", param=found[1].param)
    return _checked(found[0]) if found else None


def _format(value: Any) -> Structure | None:
    if value is None:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        # Some put a schema here.
        schema = value.get("schema")
        wanted = {"type": "object"} if schema is None else schema
        return Structure(kind="json", value=wanted, param="response_format")
    if kind == "json_schema":
        told = value.get("json_schema")
        if not isinstance(told, dict) or "schema" not in told:
            raise InvalidRequestError(
                "'response_format' of type 'json_schema' needs 'json_schema' with a 'schema'.",
                param="response_format.json_schema",
            )
        return Structure(kind="json", value=told["schema"], param="response_format")
    raise InvalidRequestError(
        "'response_format' takes the types 'text', 'json_object' and 'json_schema'.", param="response_format"
    )


def _others(body: Mapping[str, Any]) -> list[Structure]:
    found = [
        Structure(kind=kind, value=body[name], param=name)
        for name, kind in _DIRECT.items()
        if body.get(name) is not None
    ]
    several = body.get("structured_outputs")
    if several is None:
        return found
    if not isinstance(several, dict):
        raise InvalidRequestError("'structured_outputs' is an object.", param="structured_outputs")
    for name, value in several.items():
        if value is None:
            continue
        if name not in _WITHIN:
            raise InvalidRequestError(
                f"'structured_outputs' knows {', '.join(_WITHIN)}, not {name!r}.", param=f"structured_outputs.{name}"
            )
        found.append(Structure(kind=_WITHIN[name], value=value, param=f"structured_outputs.{name}"))
    return found


def _checked(one: Structure) -> Structure:
    value = one.value
    if one.kind == "json":
        if isinstance(value, str):  # the schema as a text
            try:
                return msgspec.structs.replace(one, value=msgspec.json.decode(value))
            except (msgspec.DecodeError, RecursionError) as error:
                raise InvalidRequestError(f"{one.param!r} is no JSON: {error}.", param=one.param) from None
        fits = isinstance(value, dict | bool)
    elif one.kind == "choice":
        fits = isinstance(value, list) and bool(value) and all(isinstance(text, str) and text for text in value)
    else:
        fits = isinstance(value, str) and bool(value)
    if not fits:
        kinds = {
            "json": "a JSON schema",
            "choice": "a list of texts",
            "regex": "a regular expression",
            "grammar": "a grammar",
        }
        raise InvalidRequestError(f"{one.param!r} takes {kinds[one.kind]}.", param=one.param)
    return one
