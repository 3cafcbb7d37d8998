"""A worker that fails again and again is left alone for a while, and then tried with one request."""

from __future__ import annotations

import pytest
from rbee.queen.breakers import Breakers


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(clock)


def fail(breakers: Breakers, times: int = 3) -> None:
    for _ in range(times):
        breakers.failed("w")


def test_a_few_failures_bar_nobody(breakers: Breakers) -> None:
    fail(breakers, 2)
    assert breakers.barred("w") is None
    assert breakers.barred("another") is None


def test_three_in_a_row_do_and_the_reason_tells_how_long(breakers: Breakers) -> None:
    fail(breakers)
    assert breakers.barred("w") == "it has failed 3 times in a row and is left alone for another 5 s"


def test_an_answer_in_between_makes_it_a_new_row(breakers: Breakers) -> None:
    fail(breakers, 2)
    breakers.succeeded("w")
    fail(breakers, 2)
    assert breakers.barred("w") is None


def test_when_the_time_is_over_one_request_goes_there_and_no_second(breakers: Breakers, clock: Clock) -> None:
    fail(breakers)
    clock.now += 5
    assert breakers.barred("w") is None
    breakers.sent("w")
    assert "one request" in str(breakers.barred("w"))
    breakers.succeeded("w")
    assert breakers.barred("w") is None


def test_a_trial_that_shows_nothing_leaves_room_for_another(breakers: Breakers, clock: Clock) -> None:
    fail(breakers)
    clock.now += 5
    breakers.sent("w")
    breakers.undecided("w")
    assert breakers.barred("w") is None


def test_each_further_failure_doubles_the_time_up_to_a_limit(breakers: Breakers, clock: Clock) -> None:
    fail(breakers)
    for expected in (10, 20, 40, 80, 120, 120):
        clock.now += 200
        breakers.sent("w")
        breakers.failed("w")
        assert f"another {expected} s" in str(breakers.barred("w"))


def test_whatever_may_change_an_answer_changes_the_stamp(breakers: Breakers, clock: Clock) -> None:
    seen = {breakers.changes}
    fail(breakers)
    seen.add(breakers.changes)
    clock.now += 5
    seen.add(breakers.changes)
    breakers.sent("w")
    seen.add(breakers.changes)
    breakers.succeeded("w")
    seen.add(breakers.changes)
    assert len(seen) == 5


def test_workers_that_are_gone_are_forgotten(breakers: Breakers) -> None:
    fail(breakers)
    breakers.forget(lambda worker_id: worker_id != "w")
    assert breakers.barred("w") is None
