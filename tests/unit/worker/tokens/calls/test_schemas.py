"""What the schema of a tool's parameters says."""

from __future__ import annotations

import json

import pytest
from rbee.worker.tokens.calls.elements import call_of, parameters_of
from rbee.worker.tokens.calls.schemas import KINDS, Parameters

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "size": {"$ref": "#/$defs/Size"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "at": {"allOf": [{"$ref": "#/$defs/Point"}]},
        "which": {"oneOf": [{"$ref": "#/$defs/Point"}, {"type": "string"}]},
        "many": {"type": ["integer", "string"]},
        "free": True,
        "self": {"$ref": "#"},
        "round": {"$ref": "#/properties/round"},
        "maybe": {"anyOf": [{"$ref": "#/$defs/Size"}, {"type": "null"}]},
        "one": {"const": 1},
    },
    "required": ["name", "gone", 3],
    "$defs": {"Size": {"enum": ["1", "2"]}, "Point": {"type": "object"}},
}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("name", {"string"}),
        ("size", {"string"}),
        ("note", {"string", "null"}),
        ("at", {"object"}),
        ("which", {"object", "string"}),
        ("many", {"integer", "string"}),
        ("free", KINDS),
        ("self", {"object"}),
        ("round", KINDS),
        ("one", {"integer", "number"}),
        ("unknown", KINDS),
    ],
)
def test_it_says_what_a_value_can_be(name, kinds):
    assert Parameters(SCHEMA).kinds(name) == kinds


@pytest.mark.parametrize(
    ("name", "texts"),
    [("size", ["1", "2"]), ("maybe", ["1", "2", "null"]), ("one", ["1"]), ("note", None), ("free", None)],
)
def test_it_counts_the_texts_of_a_value(name, texts):
    assert Parameters(SCHEMA).texts(name) == texts


def test_parameters_that_a_reference_brings_are_known():
    parameters = Parameters(
        {"$ref": "#/$defs/All", "$defs": {"All": {"allOf": [{"$ref": "#/$defs/Part"}]}, "Part": SCHEMA}}
    )
    assert parameters.properties.keys() == SCHEMA["properties"].keys()
    assert parameters.required == {"name"}


@pytest.mark.parametrize(
    "schema", [None, {}, {"properties": [], "required": "x"}, {"$ref": "#"}, {"$ref": "#/nowhere"}]
)
def test_a_schema_that_says_nothing_has_no_parameters(schema):
    assert not Parameters(schema).properties


def test_definitions_that_branch_and_chains_without_end_are_read_at_once():
    branching = {f"A{at}": {"anyOf": [{"$ref": f"#/$defs/A{at + 1}"}] * 2} for at in range(2000)}
    schema = {"properties": {"a": {"$ref": "#/$defs/A0"}, "b": {"$ref": "#/$defs/A1995"}}}
    parameters = Parameters({**schema, "$defs": {**branching, "A2000": {"type": "integer"}}})
    assert parameters.kinds("a") == KINDS
    assert Parameters({**schema, "$defs": {**branching, "A2000": {"type": "integer"}}}).kinds("b") == {"integer"}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("size", "1", "1"),
        ("note", "5", "5"),
        ("note", "null", None),
        ("note", "[1]", "[1]"),
        ("which", '{"x": 1}', {"x": 1}),
        ("which", "[1]", "[1]"),
        ("many", "5", "5"),
        ("at", '{"x": 1}', {"x": 1}),
        ("at", "no JSON", "no JSON"),
        ("free", "5", 5),
    ],
)
def test_values_in_elements_are_read_as_their_schema_has_them(name, text, value):
    tools = parameters_of([{"type": "function", "function": {"name": "go", "parameters": SCHEMA}}])
    found = call_of(f"<function=go>\n<parameter={name}>\n{text}\n</parameter>\n</function>", tools)
    assert found is not None
    assert json.loads(found[1]) == {name: value}
