"""Absence, judged from ages."""

from __future__ import annotations

import pytest
from rbee.contract import WorkerState
from rbee.telemetry.judgement import Limits, Presence, hive_health, routable, worker_presence

LIMITS = Limits()


@pytest.mark.parametrize(
    ("beat", "sample", "presence"),
    [
        (0, 0, "online"),
        (14.9, 9.9, "online"),
        (0, None, "unobserved"),
        (0, 10, "unobserved"),
        (15, 0, "hung"),
        (None, 0, "hung"),
        (15, 10, "offline"),
        (None, None, "offline"),
    ],
)
def test_presence_follows_from_two_ages(beat: float | None, sample: float | None, presence: str) -> None:
    assert worker_presence(beat, sample, LIMITS) == presence


@pytest.mark.parametrize(
    ("age", "health"),
    [(0, "healthy"), (2.9, "healthy"), (3, "degraded"), (10, "degraded"), (10.1, "down"), (None, "down")],
)
def test_a_hive_is_healthy_degraded_or_down(age: float | None, health: str) -> None:
    assert hive_health(age, LIMITS) == health


def test_requests_go_to_serving_workers_that_beat() -> None:
    allowed = {(p, s) for p in Presence for s in WorkerState if routable(p, s)}
    beating = (Presence.ONLINE, Presence.UNOBSERVED)
    assert allowed == {(p, s) for p in beating for s in (WorkerState.READY, WorkerState.BUSY)}
