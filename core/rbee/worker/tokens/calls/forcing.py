"""Grammars under which a model cannot but call a tool.

Format: llguidance's Lark (its ``%json`` takes a JSON schema, ``<[N]>`` the token N).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rbee.contract.tokenizer import Tokenizer
from rbee.worker.tokens.calls.schemas import Parameters
from rbee.worker.tokens.calls.styles import NAMED, Style
from rbee.worker.tokens.constraints import AS_WRITTEN

_PARAMETER_END = "\n</parameter>\n"


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
    lines = [f"{call}: {' | '.join(f'f{number}' for number in range(len(functions)))}"]
    for number, function in enumerate(functions):
        if style.body == "elements":
            lines += _element_rules(number, function)
            continue
        name = function["name"]
        # The schema is a document of its own: references are read from the root of what `%json` is given.
        arguments = _json(_parameters(function))
        if style.body == "named":
            lines.append(f"f{number}: {_quoted(name)} {_mark(NAMED, tokenizer)} {arguments}")
        else:
            head = f'{{"name": {_quoted(name)}, {_quoted(style.arguments)}: '
            lines.append(f'f{number}: {_quoted(head)} {arguments} "}}"')
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


def _parameters(function: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of the arguments, which are an object, also where it does not say so."""
    given = function.get("parameters") or {}
    kind = given.get("type")
    unsaid = "$ref" not in given if kind is None else isinstance(kind, list) and "object" in kind
    return {**given, "type": "object"} if unsaid else dict(given)


def _json(schema: Mapping[str, Any]) -> str:
    return "%json " + msgspec.json.encode({**schema, "x-guidance": dict(AS_WRITTEN)}).decode()


def _element_rules(number: int, function: Mapping[str, Any]) -> list[str]:
    """Required parameters in their order, then the others as it likes."""
    parameters = Parameters(function.get("parameters"))
    keys = [key for key in parameters.properties if key in parameters.required]
    keys += (key for key, schema in parameters.properties.items() if key not in keys and schema is not False)
    name = function["name"]
    parts, rules = [], []
    for at, key in enumerate(keys):
        rule = f"f{number}p{at}"
        parts.append(rule if key in parameters.required else f"{rule}?")
        rules.append(f"{rule}: {_quoted(f'<parameter={key}>' + chr(10))} {rule}v")
        rules.append(f"{rule}v{_element_value(parameters, key)}")
    body = " ".join([_quoted(f"<function={name}>\n"), *parts, _quoted("</function>")])
    return [f"f{number}: {body}", *rules]


def _element_value(parameters: Parameters, key: str) -> str:
    """Texts are written as they are, everything else as JSON; what can be both is free."""
    if "string" not in parameters.kinds(key):
        return f": {_json(parameters.alone(key))} {_quoted(_PARAMETER_END)}"
    texts = parameters.texts(key)
    if texts and not any("</parameter>" in text for text in texts):
        return f": ({' | '.join(map(_quoted, texts))}) {_quoted(_PARAMETER_END)}"
    return f"[suffix={_quoted(_PARAMETER_END)}]: /(.|\\n)*/"


def _mark(text: str, tokenizer: Tokenizer) -> str:
    tokens = tokenizer.encode(text) if text else []
    if len(tokens) == 1 and tokens[0] in tokenizer.control:
        return f"<[{tokens[0]}]>"
    return _quoted(text)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
