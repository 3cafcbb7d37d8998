"""Telemetry as the scheduler sees it."""

from __future__ import annotations

from typing import Any

import pytest
from rbee.contract import Capability, WorkerState
from rbee.contract.wire import HiveHeartbeat, HiveInfo, NodeStats, ProcessStats, WorkerBeat, utc_now
from rbee.queen import views
from rbee.telemetry import TelemetryRegistry


@pytest.fixture
def colony(clock) -> TelemetryRegistry:
    return TelemetryRegistry(clock)


def worker(name: str, **more: Any) -> WorkerBeat:
    fields: dict[str, Any] = {
        "model_id": "m",
        "device": "CPU-0",
        "port": 1,
        "status": "ready",
        "implementation": "e",
        "version": None,
        "hive_id": "h",
        "slots_total": 2,
        "slots_available": 2,
        "capabilities": (Capability.CHAT,),
    }
    return WorkerBeat(id=name, **(fields | more))


def hive(*samples: ProcessStats, node: NodeStats | None = None, **more: Any) -> HiveHeartbeat:
    info = HiveInfo(**({"id": "h", "hostname": "x", "port": 1, "url": "http://x:1", "threads_free": 3} | more))
    return HiveHeartbeat(hive=info, timestamp=utc_now(), workers=samples, node=node, capabilities=(), engines=())


def seen(colony: TelemetryRegistry, clock, failure: Any = lambda _: None) -> views.HiveView:
    (found,) = views.hives(colony, "m", clock, failure)
    return found


def test_a_models_workers_are_candidates_with_their_figures(colony) -> None:
    colony.beat_worker(worker("a"))
    colony.beat_worker(worker("b", model_id="n"))
    colony.update_hive_state(hive(ProcessStats(pid=1, worker_id="a", gpu_util_pct=40.0, cpu_pct=9.0)))
    colony.reserve("a")
    (found,) = views.candidates(colony, "m")
    assert (found.view.worker_id, found.view.hive_id, found.view.gpu_pct, found.view.slots_free) == ("a", "h", 40.0, 1)
    assert (found.state, found.presence, found.routable) == (WorkerState.READY, "online", True)
    assert (found.capabilities, found.device) == ((Capability.CHAT,), "CPU-0")


def test_a_hive_is_a_place_with_its_room(colony, clock) -> None:
    colony.update_hive_state(hive(node=NodeStats(ram_used_mb=10, ram_total_mb=30)))
    found = seen(colony, clock)
    assert (found.online, found.accepting, found.threads_free, found.ram_free_bytes) == (True, True, 3, 20 * 2**20)
    clock.tick(11)
    assert seen(colony, clock).online is False


def test_what_a_hive_has_not_told_is_unknown(colony, clock) -> None:
    colony.update_hive("h", "http://x:1")
    found = seen(colony, clock)
    assert (found.devices, found.engines, found.threads_free, found.ram_free_bytes) == (None, None, None, None)


def test_a_stopping_hive_accepts_nothing(colony, clock) -> None:
    colony.update_hive_state(hive(operational_status="stopping"))
    assert seen(colony, clock).accepting is False


def test_a_failure_is_told_with_its_age(colony, clock) -> None:
    colony.update_hive_state(hive())
    failed = (clock.now, "it burst")
    clock.tick(4)
    found = seen(colony, clock, lambda hive_id: failed if hive_id == "h" else None)
    assert (found.failed_s, found.failed_why) == (4, "it burst")


def test_only_idle_workers_of_other_models_could_make_room(colony, clock) -> None:
    for name, more in {
        "wanted": {},
        "idle": {"model_id": "n"},
        "loading": {"model_id": "n", "status": "loading"},
        "reserved": {"model_id": "n"},
        "external": {"model_id": "n", "slots_available": 1},
        "elsewhere": {"model_id": "n", "hive_id": "other"},
    }.items():
        colony.beat_worker(worker(name, **more))
    colony.reserve("reserved")
    colony.update_hive_state(hive(ProcessStats(pid=1, worker_id="idle", rss_mb=5, model="n")))
    (idle,) = seen(colony, clock).idle
    assert (idle.worker_id, idle.memory_bytes) == ("idle", 5 * 2**20)


def test_idle_time_counts_from_the_last_request(colony, clock) -> None:
    colony.beat_worker(worker("idle", model_id="n"))
    colony.update_hive_state(hive())
    colony.reserve("idle")
    clock.tick(5)
    colony.release("idle")
    clock.tick(7)
    assert [one.idle_s for one in seen(colony, clock).idle] == [7]
