"""A tool and a schema for the checks that need one."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import msgspec

TOOL_NAME = "get_weather"


def tool() -> dict[str, Any]:
    """The tool, in OpenAI's shape."""
    return {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tell the weather in a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }


class City(msgspec.Struct, frozen=True):
    """Arguments of the tool."""

    city: str


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the schema describes."""

    kind: str
    age: int
    happy: bool


KINDS = ("child", "adult")
_PROPERTIES = MappingProxyType(
    {"kind": {"type": "string", "enum": list(KINDS)}, "age": {"type": "integer"}, "happy": {"type": "boolean"}}
)


def schema_format() -> dict[str, Any]:
    """The schema, as ``response_format``."""
    return {
        "type": "json_schema",
        "json_schema": {
            "name": "person",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": dict(_PROPERTIES),
                "required": list(_PROPERTIES),
                "additionalProperties": False,
            },
        },
    }
