"""Grammars under which a model cannot but call a tool."""

from __future__ import annotations

import json

import pytest
from rbee.testing.tables import TableTokenizer
from rbee.testing.walking import walk
from rbee.worker.tokens.calls import CallDelta, CallParser, forcing_grammar
from rbee.worker.tokens.calls.styles import BARE, HERMES, LLAMA3, MISTRAL, MISTRAL_NAMED, QWEN_CODER
from rbee.worker.tokens.constraints import Grammars
from rbee.worker.tokens.detokenizer import Detokenizer

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look",
            "parameters": {
                "type": "object",
                "properties": {"at": {"type": "string", "maxLength": 5}, "times": {"type": "integer", "maximum": 9}},
                "required": ["times"],
                "additionalProperties": False,
            },
        },
    },
    {"type": "function", "function": {"name": "stop", "parameters": {"type": "object", "additionalProperties": False}}},
]
PLAIN = TableTokenizer()
MARKED = TableTokenizer(special=("<|im_start|>", "<|im_end|>", "[TOOL_CALLS]", "[ARGS]", "<tool_call>", "</tool_call>"))


@pytest.mark.parametrize("tokenizer", [PLAIN, MARKED], ids=["text", "tokens"])
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("style", [HERMES, LLAMA3, MISTRAL, MISTRAL_NAMED, QWEN_CODER, BARE], ids=lambda one: one.name)
def test_whatever_is_drawn_is_a_call_that_the_parser_finds(style, single, tokenizer):
    grammar = forcing_grammar(style, TOOLS, tokenizer, single=single)
    grammars = Grammars(tokenizer)
    for seed in range(4):
        tokens = walk(grammars.lark(grammar, param="tools"), tokenizer, seed, closing="\n</parameter>\n")
        text = Detokenizer(tokenizer, style.shown(tokenizer))
        parser = CallParser(style, TOOLS)
        parts = parser.feed("".join(map(text.feed, tokens))) + parser.flush()
        assert not [part for part in parts if isinstance(part, str)]
        calls: list[list[str]] = []
        for delta in (part for part in parts if isinstance(part, CallDelta)):
            if delta.id is not None:
                calls.append([delta.name, ""])
            calls[-1][1] += delta.arguments
        assert len(calls) == 1 if single else calls
        for name, arguments in calls:
            assert name in {"look", "stop"}
            given = json.loads(arguments)
            assert name == "stop" or style is QWEN_CODER or given["times"] <= 9


PLACE = {
    "type": "object",
    "properties": {"x": {"type": "integer", "maximum": 9, "minimum": 0}, "inner": {"$ref": "#/$defs/Inner"}},
    "required": ["x", "inner"],
    "additionalProperties": False,
}
INNER = {"type": "object", "properties": {"y": {"const": 7}}, "required": ["y"], "additionalProperties": False}
TREE = {
    "type": "object",
    "properties": {
        "leaf": {"$ref": "#/properties/other"},
        "other": {"type": "boolean"},
        "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        "literal": {"const": {"$ref": "#"}},
    },
    "required": ["leaf", "next", "literal"],
    "additionalProperties": False,
}
REFERRING = [
    {
        "type": "function",
        "function": {
            "name": "go",
            "parameters": {
                "type": "object",
                "properties": {"to": {"$ref": "#/$defs/Place"}},
                "required": ["to"],
                "additionalProperties": False,
                "$defs": {"Place": PLACE, "Inner": INNER},
            },
        },
    },
    {"type": "function", "function": {"name": "grow", "parameters": TREE}},
]


@pytest.mark.parametrize("tools", [REFERRING, REFERRING[:1], REFERRING[1:]], ids=["both", "nested", "recursive"])
@pytest.mark.parametrize("style", [HERMES, LLAMA3, MISTRAL, MISTRAL_NAMED, BARE], ids=lambda one: one.name)
def test_tools_whose_schemas_refer_to_themselves_can_be_forced(style, tools):
    grammar = forcing_grammar(style, tools, PLAIN, single=True)
    for seed in range(4):
        tokens = walk(Grammars(PLAIN).lark(grammar, param="tools"), PLAIN, seed, closing="null")
        text = Detokenizer(PLAIN, style.shown(PLAIN))
        parser = CallParser(style, tools)
        parts = parser.feed("".join(map(text.feed, tokens))) + parser.flush()
        name = next(one.name for one in parts if isinstance(one, CallDelta) and one.id is not None)
        given = json.loads("".join(one.arguments for one in parts if isinstance(one, CallDelta)))
        if name == "go":
            assert given["to"]["inner"] == {"y": 7}
        else:
            assert isinstance(given["leaf"], bool)
            assert given["literal"] == {"$ref": "#"}
