"""Figures and names for people."""

from __future__ import annotations

import pytest
from rbee.cli.format import byte_share, byte_size, line, printable


@pytest.mark.parametrize(
    ("words", "shown"), [("a\x1b[31mb", "a?[31mb"), ("a\u202eb", "a?b"), ("\u00e9 [x]", "\u00e9 [x]")]
)
def test_nothing_in_a_name_is_for_the_terminal(words: str, shown: str) -> None:
    assert printable(words) == shown


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024 * 1024 - 1, "1.0 MiB"),
        (4812288, "4.6 MiB"),
        (3 * 1024**4, "3.0 TiB"),
        (5000 * 1024**4, "4.9 PiB"),
    ],
)
def test_an_amount_has_a_fitting_unit(count: int | None, told: str) -> None:
    assert byte_size(count) == told


@pytest.mark.parametrize(
    ("done", "total", "told"),
    [(0, None, "0 B"), (1, 5, "1 of 5 B"), (512, 1024**2, "0.0 of 1.0 MiB"), (1024**3, 4 * 1024**3, "1.0 of 4.0 GiB")],
)
def test_a_part_is_told_in_the_unit_of_the_whole(done: int, total: int | None, told: str) -> None:
    assert byte_share(done, total) == told


def test_a_sentence_of_several_lines_becomes_one() -> None:
    assert line(" a\n b\x07 ") == "a b?"
