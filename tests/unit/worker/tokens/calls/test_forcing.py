"""Grammars under which a model cannot but call a tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field
from rbee.contract.errors import InvalidRequestError
from rbee.contract.folder_tokenizer import FolderTokenizer
from rbee.testing.models import shared_models
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
STYLES = [HERMES, LLAMA3, MISTRAL, MISTRAL_NAMED, QWEN_CODER, BARE]
PLAIN = TableTokenizer()
MARKED = TableTokenizer(special=("<|im_start|>", "<|im_end|>", "[TOOL_CALLS]", "[ARGS]", "<tool_call>", "</tool_call>"))


@pytest.mark.parametrize("tokenizer", [PLAIN, MARKED], ids=["text", "tokens"])
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("style", STYLES, ids=lambda one: one.name)
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
@pytest.mark.parametrize("style", STYLES, ids=lambda one: one.name)
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


class Point(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x: int = Field(ge=0, le=9)
    y: int = Field(ge=0, le=9)


class Move(BaseModel):
    """Moves."""

    model_config = ConfigDict(extra="forbid")
    to: Point
    via: list[Point] = Field(max_length=2)
    how: Literal["1", "2"]
    why: str | None = Field(max_length=4)
    speed: Literal["slow", "fast"] | None = None


class Tree(BaseModel):
    model_config = ConfigDict(extra="forbid")
    value: int = Field(ge=0, le=9)
    place: Point | Tree | None = None


MODELS = {"move": Move, "tree": Tree}
MADE = [
    {"type": "function", "function": {"name": name, "parameters": model.model_json_schema()}}
    for name, model in MODELS.items()
]


def drawn(style, tools, tokenizer, grammars, seed, closing="null"):
    """Name and arguments of the one call in a walk through the grammar."""
    constraint = grammars.lark(forcing_grammar(style, tools, tokenizer, single=True), param="tools")
    tokens = walk(constraint, tokenizer, seed, closing="\n</parameter>\n" if style is QWEN_CODER else closing)
    text = Detokenizer(tokenizer, style.shown(tokenizer))
    parser = CallParser(style, tools)
    parts = parser.feed("".join(map(text.feed, tokens))) + parser.flush()
    assert not [part for part in parts if isinstance(part, str)]
    (name,) = (one.name for one in parts if one.id is not None)
    return name, "".join(one.arguments for one in parts)


@pytest.fixture(scope="module")
def trained():
    return FolderTokenizer(shared_models(Path(__file__)) / "hf")


@pytest.mark.parametrize("name", ["move", "tree"])
@pytest.mark.parametrize("style", STYLES, ids=lambda one: one.name)
def test_what_is_drawn_for_a_tool_that_pydantic_made_is_one_of_its_models(style, name, trained):
    grammars = Grammars(trained)
    tools = [tool for tool in MADE if tool["function"]["name"] == name]
    found = set()
    for seed in range(6):
        called, arguments = drawn(style, tools, trained, grammars, seed)
        assert called == name
        if style is QWEN_CODER:  # what may be a text is free, but for its end
            arguments = json.dumps({**json.loads(arguments)} | ({"why": None} if name == "move" else {}))
        found.add(MODELS[name].model_validate_json(arguments).model_dump_json())
    assert len(found) > 1


@pytest.mark.parametrize("style", STYLES, ids=lambda one: one.name)
def test_several_tools_that_pydantic_made_can_be_forced_together(style, trained):
    assert {drawn(style, MADE, trained, Grammars(trained), seed)[0] for seed in range(12)} == {"move", "tree"}


SEVEN = {"type": "object", "properties": {"y": {"const": 7}}, "required": ["y"], "additionalProperties": False}


def schema_of(properties, **more):
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False, **more}


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        (schema_of({"default": {"$ref": "#/$defs/Seven"}}, **{"$defs": {"Seven": SEVEN}}), {"default": {"y": 7}}),
        (schema_of({"a": {"$ref": "#/$defs/enum"}}, **{"$defs": {"enum": SEVEN}}), {"a": {"y": 7}}),
        (schema_of({"a": {"$ref": "#/definitions/A~1B%20c"}}, definitions={"A/B c": SEVEN}), {"a": {"y": 7}}),
        (schema_of({"a": {"$ref": "#S"}, "b": {"const": 1}}, **{"$defs": {"S": {"$anchor": "S", **SEVEN}}}), None),
        (
            schema_of({"a": {"$ref": "#/$defs/S"}}, **{"$id": "https://example.org/s", "$defs": {"S": SEVEN}}),
            {"a": {"y": 7}},
        ),
        (
            schema_of({"a": {"$ref": "https://example.org/s#/$defs/S"}})
            | {"$id": "https://example.org/s", "$defs": {"S": SEVEN}},
            {"a": {"y": 7}},
        ),
        (
            schema_of({"a": {"$ref": "#/properties/b/$defs/S"}, "b": {"const": None, "$defs": {"S": SEVEN}}}),
            {"a": {"y": 7}, "b": None},
        ),
        (schema_of({"$ref": {"const": 1}}), {"$ref": 1}),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "$ref": "#/definitions/All",
                "definitions": {"All": schema_of({"a": {"$ref": "#/definitions/Seven"}}), "Seven": SEVEN},
            },
            {"a": {"y": 7}},
        ),
        ({"allOf": [{"$ref": "#/$defs/Seven"}], "$defs": {"Seven": SEVEN}}, {"y": 7}),
        ({"type": ["object", "null"], **{key: SEVEN[key] for key in SEVEN if key != "type"}}, {"y": 7}),
    ],
    ids=[
        "name-of-a-keyword",
        "definition-like-a-keyword",
        "escaped",
        "anchor",
        "id",
        "by-id",
        "inner-definitions",
        "property-named-ref",
        "whole-by-reference",
        "all-of",
        "nullable",
    ],
)
@pytest.mark.parametrize("style", STYLES, ids=lambda one: one.name)
def test_references_lead_where_the_schema_says(style, schema, answer):
    tools = [{"type": "function", "function": {"name": "go", "parameters": schema}}]
    given = json.loads(drawn(style, tools, PLAIN, Grammars(PLAIN), 1)[1])
    if answer is None:  # elements know no anchors: what such a one says is free
        assert given["b"] == 1
        assert style is QWEN_CODER or given["a"] == {"y": 7}
    else:
        assert given == answer


@pytest.mark.parametrize("style", STYLES, ids=lambda one: one.name)
def test_a_schema_nested_too_deeply_is_refused_by_name(style):
    schema = {"type": "integer"}
    for _ in range(300):
        schema = schema_of({"a": schema})
    tools = [{"type": "function", "function": {"name": "go", "parameters": schema}}]
    with pytest.raises(InvalidRequestError, match=r"'tools' is not understood: .*recursion limit"):
        drawn(style, tools, PLAIN, Grammars(PLAIN), 1)
