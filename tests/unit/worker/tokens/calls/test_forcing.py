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
