from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rbee.worker.tokens.stops import StopFilter

letters = st.text("abé", max_size=12)
stop_lists = st.lists(st.text("abé", min_size=1, max_size=4), max_size=4)


def cut_by_brute_force(text: str, stops: list[str]) -> tuple[str, bool]:
    for end in range(len(text) + 1):
        lengths = [len(stop) for stop in stops if text[:end].endswith(stop)]
        if lengths:
            return text[: end - max(lengths)], True
    return text, False


@given(st.lists(letters, max_size=8), stop_lists)
def test_any_split_gives_the_cut_of_the_whole_text(pieces, stops):
    sieve = StopFilter(stops)
    shown = "".join(sieve.feed(piece) for piece in pieces) + sieve.flush()
    assert (shown, sieve.stopped is not None) == cut_by_brute_force("".join(pieces), stops)


@given(st.lists(letters, max_size=8), stop_lists)
def test_only_what_a_stop_string_may_begin_with_is_held_back(pieces, stops):
    sieve, fed, shown = StopFilter(stops), "", ""
    for piece in pieces:
        fed += piece
        shown += sieve.feed(piece)
        if sieve.stopped is not None:
            break
        held = fed[len(shown) :]
        assert fed == shown + held
        assert not held or any(stop.startswith(held) and stop != held for stop in stops)


def test_text_passes_at_once_without_stop_strings():
    assert StopFilter([]).feed("abc") == "abc"


def test_nothing_follows_a_stop_string():
    sieve = StopFilter(["END"])
    assert sieve.feed("a EN") == "a "
    assert not sieve.feed("D b")
    assert not sieve.feed("c")
    assert not sieve.flush()
