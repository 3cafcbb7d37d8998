"""A call written as elements, ``<function=NAME><parameter=KEY>VALUE</parameter></function>``, as Qwen's coders do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rbee.worker.tokens.calls.schemas import KINDS, Parameters, kinds_of

_FUNCTION = re.compile(r"<function=([^>\s]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\s]+)>(.*?)</parameter>", re.DOTALL)

_UNLIKE_TEXT = frozenset({"array", "null", "object"})
"""What is meant where a text may come too: a number may as well be a text of digits."""


def parameters_of(tools: Sequence[Mapping[str, Any]]) -> dict[str, Parameters]:
    """Each tool's parameters, by the tool's name."""
    functions = [tool.get("function") or {} for tool in tools]
    return {str(function.get("name")): Parameters(function.get("parameters")) for function in functions}


def call_of(text: str, tools: Mapping[str, Parameters]) -> tuple[str, str] | None:
    """Name and arguments, as JSON, of the call in a text; None when there is none.

    Values are texts; those of parameters that the tool declares as something else are read as JSON.
    """
    function = _FUNCTION.search(text)
    if function is None:
        return None
    name, body = function[1], function[2]
    declared = tools.get(name) or Parameters(None)
    arguments = {key: _value(value, declared.kinds(key)) for key, value in _PARAMETER.findall(body)}
    return name, msgspec.json.encode(arguments).decode()


def _value(text: str, kinds: frozenset[str]) -> Any:
    text = text.removeprefix("\n").removesuffix("\n")
    if kinds == {"string"}:
        return text
    try:
        value = msgspec.json.decode(text.strip())
    except (msgspec.DecodeError, RecursionError):
        return text
    if "string" in kinds and kinds != KINDS and not kinds_of(value) & kinds & _UNLIKE_TEXT:
        return text
    return value
