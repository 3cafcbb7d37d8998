"""A call written as elements, ``<function=NAME><parameter=KEY>VALUE</parameter></function>``, as Qwen's coders do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

_FUNCTION = re.compile(r"<function=([^>\s]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\s]+)>(.*?)</parameter>", re.DOTALL)


def parameters_of(tools: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The properties of each tool's parameters, by the tool's name."""
    found: dict[str, dict[str, Any]] = {}
    for tool in tools:
        function = tool.get("function") or {}
        properties = (function.get("parameters") or {}).get("properties")
        found[str(function.get("name"))] = properties if isinstance(properties, dict) else {}
    return found


def call_of(text: str, tools: Mapping[str, Mapping[str, Any]]) -> tuple[str, str] | None:
    """Name and arguments, as JSON, of the call in a text; None when there is none.

    Values are texts; those of parameters that the tool declares as something else are read as JSON.
    """
    function = _FUNCTION.search(text)
    if function is None:
        return None
    name, body = function[1], function[2]
    declared = tools.get(name, {})
    arguments = {key: _value(value, declared.get(key)) for key, value in _PARAMETER.findall(body)}
    return name, msgspec.json.encode(arguments).decode()


def _value(text: str, schema: Any) -> Any:
    text = text.removeprefix("\n").removesuffix("\n")
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind == "string" or (isinstance(kind, list) and "string" in kind):
        return text
    try:
        return msgspec.json.decode(text.strip())
    except (msgspec.DecodeError, RecursionError):
        return text
