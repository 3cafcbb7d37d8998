from __future__ import annotations

from rbee.remote.words import MOST, Words


def test_what_comes_before_the_marker_is_no_part_of_it_in_whatever_pieces_it_comes() -> None:
    for size in (1, 5, 1000):
        told: list[str] = []
        words = Words(told.append, "m4rk:")
        whole = b"Welcome\n12\nto you m4rk:4711\nout\nm4rk:1\nput"
        for begin in range(0, len(whole), size):
            words.add(whole[begin : begin + size])
        words.end()

        assert words.marked == "4711"
        assert words.text() == "out\nm4rk:1\nput"
        assert told == ["out", "m4rk:1", "put"]


def test_of_an_endless_greeting_little_is_kept() -> None:
    words = Words(None, "m4rk:")
    for _ in range(64):
        words.add(b"x" * 65536)
    words.end()

    assert words.marked is None
    assert 0 < len(words.text()) <= MOST // 16


def test_where_nothing_began_what_came_instead_is_told() -> None:
    told: list[str] = []
    words = Words(told.append, "m4rk:")
    words.add(b"This account is not available.\n")
    words.end()

    assert words.text() == "This account is not available.\n"
    assert told == ["This account is not available."]


def test_without_a_marker_all_is_part_of_it() -> None:
    words = Words(None)
    words.add(b"a\nb")
    words.end()

    assert (words.text(), words.marked) == ("a\nb", None)
