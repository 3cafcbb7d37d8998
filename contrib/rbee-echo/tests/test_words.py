"""Words as tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee_echo.words import ASSISTANT, END, USER, WordTokenizer, answer_to, behind

TOKENIZER = WordTokenizer()


@pytest.mark.parametrize(("said", "left"), [("one tw", ["o", " three"]), ("one two", [" three"]), ("x" * 99, [])])
def test_what_is_left_behind_a_part_of_a_word_begins_within_it(said, left):
    assert list(behind(iter(["one", " two", " three"]), said)) == left


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_pieces_of_any_text_are_the_text(text):
    tokens = TOKENIZER.encode(text, special=False)
    assert b"".join(map(TOKENIZER.piece, tokens)).decode() == text
    assert all(0 <= token < TOKENIZER.size for token in tokens)
    assert not TOKENIZER.control & set(tokens)


def test_a_word_is_a_token_and_a_very_long_one_is_several():
    assert len(TOKENIZER.encode("one two  three ")) == 4
    assert len(TOKENIZER.encode("x" * 65)) == 2


def test_names_of_marks_are_marks_or_text_as_asked():
    assert TOKENIZER.encode("<|user|>hi<|end|>")[::2] == [USER, END]
    assert len(TOKENIZER.encode("<|user|>", special=False)) == 1
    assert [TOKENIZER.piece(token) for token in (USER, 0, 99)] == [b"<|user|>", b"", b""]


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("once upon", ("once upon", "")),
        ("<|system|>be brief<|end|><|user|>a  b<|end|><|assistant|>", ("a  b", "")),
        ("<|user|>a<|end|><|assistant|>a<|end|><|user|>b c<|end|><|assistant|>b", ("b c", "b")),
        ("<|system|>be brief<|end|><|assistant|>", ("", "")),
    ],
)
def test_what_is_echoed_is_the_last_users_message_or_the_whole_prompt(prompt, answer):
    assert ASSISTANT
    assert answer_to(TOKENIZER.encode(prompt), TOKENIZER) == answer
