"""Tokens as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rbee.worker.tokens.detokenizer import Detokenizer

from tests.unit.worker.tokens.conftest import TableTokenizer

TOKENIZER = TableTokenizer()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_in_whole_characters(text):
    detokenizer = Detokenizer(TOKENIZER)
    pieces = [detokenizer.feed(byte) for byte in text.encode()]
    assert "".join(pieces) + detokenizer.flush() == text
    assert all(len(piece) <= 1 for piece in pieces)


@given(st.binary())
def test_bytes_that_are_no_text_are_replaced_and_nothing_raises(data):
    detokenizer = Detokenizer(TOKENIZER)
    text = "".join(detokenizer.feed(byte) for byte in data) + detokenizer.flush()
    assert text == data.decode("utf-8", "replace")


def test_control_tokens_are_shown_only_where_somebody_looks_for_them():
    tokens = [*b"a", 256, *b"b"]
    assert "".join(map(Detokenizer(TOKENIZER).feed, tokens)) == "ab"
    assert "".join(map(Detokenizer(TOKENIZER, frozenset({256})).feed, tokens)) == "a<|im_start|>b"
