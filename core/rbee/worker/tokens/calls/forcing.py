"""Grammars under which a model cannot but call a tool.

Format: llguidance's Lark (its ``%json`` takes a JSON schema, ``<[N]>`` the token N).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rbee.contract.tokenizer import Tokenizer
from rbee.worker.tokens.calls.styles import NAMED, Style
from rbee.worker.tokens.constraints import AS_WRITTEN

_VALUES = frozenset({"const", "default", "enum", "examples"})
"""Keywords of a schema under which there are values and no schemas."""


def forcing_grammar(style: Style, tools: Sequence[Mapping[str, Any]], tokenizer: Tokenizer, *, single: bool) -> str:
    """The grammar of an answer that calls one of the tools, and says nothing else.

    Args:
        style: of the model.
        tools: it must call one of these.
        tokenizer: marks that are tokens of their own are written so.
        single: exactly one call.
    """
    functions = [tool["function"] for tool in tools]
    begin, end = _mark(style.begin, tokenizer), _mark(style.end, tokenizer)
    call = f"call_{style.body}"
    if style.body == "elements":
        lines = [f"{call}: {' | '.join(f'f{number}' for number in range(len(functions)))}"]
        for number, function in enumerate(functions):
            lines += _element_rules(number, function)
    elif style.body == "named":
        choices = (
            f"{_quoted(function['name'])} {_mark(NAMED, tokenizer)} {_json(_parameters(function))}"
            for function in functions
        )
        lines = [f"{call}: {' | '.join(choices)}"]
    else:
        # A rule each: the references of a tool's schema are read from the root of what `%json` is given.
        lines = [f"{call}: {' | '.join(f'f{number}' for number in range(len(functions)))}"]
        lines += [f"f{number}: {_json(_object(one, style.arguments))}" for number, one in enumerate(functions)]
    if style.end:
        one = f'{begin} "\\n" {call} "\\n" {end}'
        start = one if single else f'{one} ("\\n" {one})*'
    elif style.opened:
        start = f'{begin} "[" {call} ' + ('"]"' if single else f'("," " "? {call})* "]"')
    elif style.body == "named":
        start = f"{begin} {call}" if single else f"({begin} {call})+"
    else:
        start = call if single else f'{call} ("; " {call})*'
    return "\n".join([f"start: {start}", *lines]) + "\n"


def _object(function: Mapping[str, Any], arguments: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"const": function["name"]},
            arguments: _moved(_parameters(function), f"#/properties/{arguments}"),
        },
        "required": ["name", arguments],
        "additionalProperties": False,
    }


def _moved(schema: Any, place: str) -> Any:
    """A schema whose references within itself are right when it stands at that place of another one."""
    if isinstance(schema, list):
        return [_moved(one, place) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: place + value[1:]
        if key == "$ref" and isinstance(value, str) and value.startswith("#")
        else value
        if key in _VALUES
        else _moved(value, place)
        for key, value in schema.items()
    }


def _parameters(function: Mapping[str, Any]) -> dict[str, Any]:
    given = function.get("parameters")
    return dict(given) if given else {"type": "object"}


def _json(schema: Mapping[str, Any]) -> str:
    return "%json " + msgspec.json.encode({**schema, "x-guidance": dict(AS_WRITTEN)}).decode()


def _element_rules(number: int, function: Mapping[str, Any]) -> list[str]:
    """Required parameters in their order, then the others as it likes."""
    parameters = _parameters(function)
    properties = parameters.get("properties") or {}
    required = [key for key in parameters.get("required") or () if key in properties]
    name = function["name"]
    parts, rules = [], []
    for at, key in enumerate([*required, *(key for key in properties if key not in required)]):
        rule = f"f{number}p{at}"
        parts.append(rule if key in required else f"{rule}?")
        rules.append(f"{rule}: {_quoted(f'<parameter={key}>' + chr(10))} {rule}v")
        rules.append(f'{rule}v[suffix="\\n</parameter>\\n"]: /(.|\\n)*/')
    body = " ".join([_quoted(f"<function={name}>\n"), *parts, _quoted("</function>")])
    return [f"f{number}: {body}", *rules]


def _mark(text: str, tokenizer: Tokenizer) -> str:
    tokens = tokenizer.encode(text) if text else []
    if len(tokens) == 1 and tokens[0] in tokenizer.control:
        return f"<[{tokens[0]}]>"
    return _quoted(text)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
