"""Answers held to a schema or a grammar."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rbee.contract.errors import InvalidRequestError, WorkerFailedError
from rbee.contract.folder_tokenizer import FolderTokenizer
from rbee.testing.models import shared_models
from rbee.testing.tables import TableTokenizer
from rbee.testing.walking import allowed, walk
from rbee.worker.tokens.constraints import AfterReasoning, Grammars, packed, packed_without

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tokenizer():
    return FolderTokenizer(shared_models(Path(__file__)) / "hf")


@pytest.fixture(scope="module")
def grammars(tokenizer):
    return Grammars(tokenizer)


def text(tokenizer, tokens):
    return b"".join(map(tokenizer.piece, tokens)).decode()


@pytest.mark.parametrize("seed", range(5))
def test_json_fits_its_schema_whatever_is_drawn(tokenizer, grammars, seed):
    said = json.loads(text(tokenizer, walk(grammars.json_schema(SCHEMA, param="p"), tokenizer, seed)))
    assert set(said) == {"name", "age"}
    assert 0 <= said["age"] <= 99
    assert len(said["name"]) <= 8


@pytest.mark.parametrize("seed", range(3))
def test_a_regular_expression_matches_from_end_to_end(tokenizer, grammars, seed):
    said = text(tokenizer, walk(grammars.regex("[a-f]{3}-[0-9]+", param="p"), tokenizer, seed))
    assert re.fullmatch("[a-f]{3}-[0-9]+", said)


def test_a_choice_is_one_of_its_texts(tokenizer, grammars):
    said = {text(tokenizer, walk(grammars.choice(["yes", "no"], param="p"), tokenizer, seed)) for seed in range(20)}
    assert said == {"yes", "no"}


@pytest.mark.parametrize("grammar", ['root ::= "a" ("b" | "c")*', 'start: "a" ("b" | "c")*'])
def test_grammars_may_be_in_gbnf_and_in_lark(tokenizer, grammars, grammar):
    assert re.fullmatch("a[bc]*", text(tokenizer, walk(grammars.gbnf(grammar, param="p"), tokenizer, 1)))


@pytest.mark.parametrize(
    "make",
    [
        lambda grammars: grammars.json_schema({"type": "nonsense"}, param="p"),
        lambda grammars: grammars.json_schema({"$ref": "#/nowhere"}, param="p"),
        lambda grammars: grammars.regex("(", param="p"),
        lambda grammars: grammars.gbnf("root ::= nowhere", param="p"),
        lambda grammars: grammars.gbnf("?", param="p"),
        lambda grammars: grammars.lark("start: nowhere", param="p"),
        lambda grammars: grammars.regex("a" * 300_000, param="p"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_name(grammars, make):
    with pytest.raises(InvalidRequestError, match="'p' ") as caught:
        make(grammars)
    assert caught.value.param == "p"


def test_what_is_wrong_with_a_regex_is_said_in_one_line(grammars):
    with pytest.raises(InvalidRequestError, match=r"regex parse error: unclosed group\.$"):
        grammars.json_schema({"type": "string", "pattern": "(("}, param="p")


def test_once_the_text_is_complete_only_its_end_may_come(tokenizer, grammars):
    constraint = grammars.choice(["no"], param="p")
    tokens = tokenizer.encode("no")
    assert set(allowed(constraint.mask(tokens))) == tokenizer.ends
    assert set(allowed(constraint.mask([*tokens, 2]))) == tokenizer.ends
    assert set(allowed(constraint.mask([*tokens, 2, 2]))) == tokenizer.ends
    assert constraint.error is None


def test_an_engine_that_does_not_keep_to_the_mask_is_found_out(tokenizer, grammars):
    constraint = grammars.choice(["no"], param="p")
    assert set(allowed(constraint.mask(tokenizer.encode("yes")))) == tokenizer.ends
    assert isinstance(constraint.error, WorkerFailedError)


def test_special_tokens_cannot_be_spelled(tokenizer, grammars):
    constraint = grammars.regex("(?s:.*)", param="p")
    assert not tokenizer.control - tokenizer.ends & set(allowed(constraint.mask([])))


def test_reasoning_is_free_until_its_mark():
    tokenizer = TableTokenizer(["</think>"])
    inner = Grammars(tokenizer).choice(["no"], param="p")
    constraint = AfterReasoning(inner, tokenizer, "</think>")
    free = set(allowed(constraint.mask([])))
    assert free == set(range(tokenizer.size)) - tokenizer.ends
    thought = [*b"hm ", *b"</thi"]
    assert set(allowed(constraint.mask(thought))) == free
    assert allowed(constraint.mask([*thought, *b"nk>"])) == [ord("n")]
    assert allowed(constraint.mask([*thought, *b"nk>n"])) == [ord("o")]


def test_a_mask_has_a_bit_for_each_token():
    assert packed(33, [0, 9, 32]) == bytes([1, 2, 0, 0, 1, 0, 0, 0])


@pytest.mark.parametrize("size", [1, 7, 8, 9, 31, 32, 33, 258])
def test_a_mask_without_some_tokens_has_all_others_and_none_beyond(size):
    without = {0, size // 2, size + 5}
    mask = packed_without(size, without)
    assert mask == packed(size, [token for token in range(size) if token not in without])


def test_a_fresh_one_follows_another_answer_from_its_beginning():
    tokenizer = TableTokenizer(["</think>"])
    grammars = Grammars(tokenizer)
    for first in (
        grammars.choice(["no"], param="p"),
        AfterReasoning(grammars.choice(["no"], param="p"), tokenizer, "x"),
    ):
        other = first.fresh()
        begun = first.mask([])
        first.mask([*b"xn"] if isinstance(first, AfterReasoning) else [*b"n"])
        assert other.mask([]) == begun
