"""How long another hive's fetch is waited for."""

from __future__ import annotations

from collections.abc import Callable

from rbee.hive.patience import LEAST_BYTES, WINDOW_S, Patience

SIZE = 10 * LEAST_BYTES
FAR = 100_000


def waited_s(done: Callable[[int], int | None], size: int | None = SIZE) -> int:
    """Seconds until a hive that tells `done` after each second is given up; `FAR` for one that never is."""
    patience = Patience(size)
    return next((second for second in range(FAR) if not patience.has("a", done(second), float(second))), FAR)


def test_a_fetch_that_gets_on_is_waited_for_and_then_for_its_end() -> None:
    rate = LEAST_BYTES // 50
    lasts = SIZE // rate
    assert lasts < waited_s(lambda second: second * rate) <= lasts + 2 * WINDOW_S + 2


def test_a_fetch_that_stands_still_is_given_up_after_a_window() -> None:
    for stands in (None, 0, 5, SIZE):
        assert waited_s(lambda _: stands) == WINDOW_S + 1  # noqa: B023  # called at once


def test_numbers_that_go_up_and_down_are_no_progress() -> None:
    assert waited_s(lambda second: second % 2) == WINDOW_S + 1
    assert waited_s(lambda second: SIZE if second % 2 else 0) <= 2 * (WINDOW_S + 1)


def test_more_than_there_is_counts_as_all() -> None:
    assert waited_s(lambda second: second * SIZE) <= 2 * (WINDOW_S + 1)
    assert waited_s(lambda second: -second) == WINDOW_S + 1


def test_a_fetch_that_creeps_is_given_up_unless_it_brings_the_little_that_is_left() -> None:
    assert waited_s(lambda second: second) == WINDOW_S + 1
    assert waited_s(lambda second: min(second * 2, 100), size=100) == 2 * (WINDOW_S + 1)


def test_a_model_of_unknown_size_is_not_waited_for() -> None:
    assert waited_s(lambda second: second * SIZE, size=None) == 0


def test_each_hive_is_judged_by_what_it_brings_itself() -> None:
    patience = Patience(SIZE)
    for second in range(200):
        assert patience.has("fast", second * LEAST_BYTES // 20, second)
        assert patience.has("still", 0, second) == (second <= WINDOW_S)
