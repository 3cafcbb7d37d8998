"""Figures and names for people."""

from __future__ import annotations

import pytest
from rbee.cli.format import printable


@pytest.mark.parametrize(
    ("words", "shown"), [("a\x1b[31mb", "a?[31mb"), ("a\u202eb", "a?b"), ("\u00e9 [x]", "\u00e9 [x]")]
)
def test_nothing_in_a_name_is_for_the_terminal(words: str, shown: str) -> None:
    assert printable(words) == shown
