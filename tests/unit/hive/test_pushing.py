"""Which beats a hive pushes."""

from __future__ import annotations

from rbee.contract.wire import HiveBeatAnswer
from rbee.hive.pushing import CHECK_S, Pushing
from rbee.telemetry import Limits

HEARD, UNHEARD = HiveBeatAnswer(subscribed=True), HiveBeatAnswer()


def test_every_beat_is_pushed_to_a_queen_who_does_not_hear_the_stream(clock) -> None:
    pushing = Pushing(5, clock)
    assert pushing.due()
    pushing.answered(UNHEARD)
    assert pushing.due()


def test_one_who_hears_it_is_asked_now_and_then_whether_she_still_does(clock) -> None:
    pushing = Pushing(5, clock)
    pushing.answered(HEARD)
    clock.tick(4.9)
    assert not pushing.due()
    clock.tick(0.1)
    assert pushing.due()
    pushing.answered(UNHEARD)
    assert pushing.due()


def test_the_end_of_a_stream_is_enough_to_push_again(clock) -> None:
    pushing = Pushing(5, clock)
    pushing.answered(HEARD)
    pushing.resume()
    assert pushing.due()


def test_a_stream_that_stalls_without_a_word_is_noticed_before_the_hive_counts_as_down() -> None:
    assert Limits().hive_down_s > CHECK_S
