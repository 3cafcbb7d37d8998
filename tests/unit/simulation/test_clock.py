"""Simulated time."""

from __future__ import annotations

from rbee.simulation.clock import Clock


def test_events_happen_in_the_order_of_their_times_and_equals_as_entered() -> None:
    clock, seen = Clock(), []
    for when, name in ((3.0, "d"), (1.0, "a"), (2.0, "b"), (2.0, "c")):
        clock.at(when, lambda name: seen.append((clock.now, name)), name)
    while clock.step():
        pass
    assert seen == [(1.0, "a"), (2.0, "b"), (2.0, "c"), (3.0, "d")]


def test_without_events_nothing_happens() -> None:
    clock = Clock()
    assert not clock.step()
    assert clock.now == 0.0
