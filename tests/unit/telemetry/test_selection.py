"""Which of several workers comes first."""

from __future__ import annotations

import pytest
from rbee.contract import WorkerState
from rbee.telemetry import Presence, WorkerEntry
from rbee.telemetry.selection import load_order, takes_requests


def worker(**more: object) -> WorkerEntry:
    return WorkerEntry(worker_id="w", **({"slots_total": 4} | more))


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ((worker(), 10.0), (worker(), 10.5)),
        ((worker(), 100.0), (worker(), None)),
        ((worker(), 90.0), (worker(reserved=4), 0.0)),
        ((worker(), 10.0), (worker(reserved=1), 10.0)),
        ((worker(slots_total=1), 10.0), (worker(slots_total=None), 10.0)),
        ((worker(latency_s=0.1), 10.0), (worker(latency_s=0.2), 10.0)),
        ((worker(latency_s=9.0), 10.0), (worker(), 10.0)),
    ],
)
def test_the_less_loaded_comes_first_and_the_unknown_last(
    better: tuple[WorkerEntry, float | None], worse: tuple[WorkerEntry, float | None]
) -> None:
    assert load_order(*better) < load_order(*worse)


@pytest.mark.parametrize(
    ("health", "presence", "taken"),
    [
        (None, Presence.ONLINE, True),
        ("healthy", Presence.ONLINE, True),
        ("degraded", Presence.ONLINE, True),
        ("unhealthy", Presence.ONLINE, False),
        ("on fire", Presence.ONLINE, False),
        ("unhealthy", Presence.UNOBSERVED, True),
        ("healthy", Presence.HUNG, False),
    ],
)
def test_an_unwell_worker_takes_nothing_while_its_hive_says_so(
    health: str | None, presence: Presence, taken: bool
) -> None:
    assert takes_requests(worker(url="http://a:1", state=WorkerState.READY, health=health), presence) is taken


def test_a_worker_without_an_address_takes_nothing() -> None:
    assert takes_requests(worker(state=WorkerState.READY), Presence.ONLINE) is False
