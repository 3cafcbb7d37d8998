"""Speeds out of answers that ran at the same time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.queen.trial_figures import Heard, median_of, row_of


def heard(sent: float, first: float, every: float, pieces: int, *, prompt: int | None = 100, tokens: int | None = None):
    texts = tuple((first + every * at, 1) for at in range(pieces))
    return Heard(sent_at=sent, texts=texts, prompt_tokens=prompt, tokens=pieces if tokens is None else tokens)


def test_one_answer() -> None:
    row = row_of([heard(10.0, 10.5, 0.1, 21)])
    assert (row.streams, row.prompt_tokens, row.tokens, row.first_token_s) == (1, 100, 21, 0.5)
    assert (row.prefill_tok_s, row.prefill_total_tok_s) == (200.0, 200.0)
    assert row.decode_tok_s == row.decode_total_tok_s == pytest.approx(10.0)


def test_answers_are_timed_while_all_run() -> None:
    row = row_of([heard(0.0, 1.0, 0.1, 41), heard(0.0, 2.0, 0.1, 41)])
    assert row.decode_total_tok_s == pytest.approx(20.0, rel=0.05)
    assert row.decode_tok_s == pytest.approx(10.0, rel=0.05)
    assert (row.prefill_tok_s, row.prefill_total_tok_s) == (75.0, 100.0)


def test_where_they_hardly_overlap_all_of_the_time_counts() -> None:
    row = row_of([heard(0.0, 1.0, 0.1, 11), heard(0.0, 2.0, 0.1, 11)])
    assert row.decode_total_tok_s == pytest.approx(21 / 2.0, rel=0.05)


def test_pieces_of_several_tokens_count_as_their_tokens() -> None:
    row = row_of([heard(0.0, 1.0, 0.1, 21, tokens=84)])
    assert row.decode_tok_s == pytest.approx(40.0)


def test_what_a_worker_does_not_tell_is_unknown() -> None:
    row = row_of([heard(0.0, 1.0, 0.1, 21, prompt=None)])
    assert (row.prompt_tokens, row.prefill_tok_s, row.prefill_total_tok_s) == (None, None, None)
    assert row.decode_tok_s == pytest.approx(10.0)
    silent = row_of([heard(0.0, 1.0, 0.1, 21), heard(0.0, 1.0, 0.1, 0)])
    assert (silent.streams, silent.decode_tok_s, silent.first_token_s) == (2, None, None)


def test_all_at_once_is_no_speed() -> None:
    assert row_of([heard(0.0, 1.0, 0.0, 21)]).decode_tok_s is None


times = st.floats(0, 100, allow_nan=False)


@given(st.lists(st.tuples(times, times, st.integers(1, 50), st.integers(0, 500)), min_size=1, max_size=8))
def test_whatever_was_heard_speeds_are_above_zero_or_unknown(taken: list[tuple[float, float, int, int]]) -> None:
    row = row_of([heard(0.0, first, every, pieces, tokens=tokens) for first, every, pieces, tokens in taken])
    for found in (row.prefill_tok_s, row.prefill_total_tok_s, row.decode_tok_s, row.decode_total_tok_s):
        assert found is None or found > 0


def test_of_several_rounds_the_median_counts_and_the_spread_is_told() -> None:
    # The second is of a machine that was busy: half as quick.
    rounds = [row_of([heard(0.0, 1.0, every, 21)]) for every in (0.1, 0.2, 0.08)]
    row = median_of(rounds)
    assert (row.streams, row.rounds, row.prompt_tokens, row.tokens) == (1, 3, 100, 21)
    assert row.decode_tok_s == pytest.approx(10.0, rel=0.01)
    assert row.decode_spread == pytest.approx((12.5 - 5.0) / 10.0, rel=0.01)
    assert row.prefill_spread == 0


def test_one_round_has_no_spread_and_what_some_rounds_do_not_tell_the_others_do() -> None:
    alone = row_of([heard(0.0, 1.0, 0.1, 21)])
    one = median_of([alone])
    assert (one.rounds, one.decode_spread, one.prefill_spread) == (1, None, None)
    assert one.decode_tok_s == alone.decode_tok_s
    silent = row_of([heard(0.0, 1.0, 0.1, 0)])
    assert median_of([silent, alone]).decode_tok_s == alone.decode_tok_s
    assert median_of([silent, silent]).decode_tok_s is None
