"""The colony at this moment, for its metrics."""

from __future__ import annotations

from typing import Any

import pytest
from rbee.contract.wire import GpuStats, HiveHeartbeat, HiveInfo, NodeStats, WorkerBeat, utc_now
from rbee.observability import ColonyGauges, MemoryGauge
from rbee.queen.gauges import gauges
from rbee.scheduler import Estimate, Sight
from rbee.telemetry import TelemetryRegistry

MIB = 1024 * 1024


@pytest.fixture
def colony(clock) -> TelemetryRegistry:
    return TelemetryRegistry(clock)


def hive(name: str, node: NodeStats | None = None) -> HiveHeartbeat:
    info = HiveInfo(id=name, hostname="x", port=1, url="http://x:1", threads_free=3)
    return HiveHeartbeat(hive=info, timestamp=utc_now(), node=node, capabilities=(), engines=())


def worker(name: str, **more: Any) -> WorkerBeat:
    fields: dict[str, Any] = {"status": "ready", "slots_total": 4, "slots_available": 3, "hive_id": "h"}
    return WorkerBeat(
        id=name, model_id="m", device="CPU-0", port=1, implementation="e", version=None, **(fields | more)
    )  # fmt: skip


def now(colony: TelemetryRegistry) -> ColonyGauges:
    return gauges(colony, {}, {})


def test_a_worker_that_beats_is_in_the_state_that_it_says_with_its_slots(colony) -> None:
    colony.beat_worker(worker("a"))
    colony.reserve("a")
    (found,) = now(colony).workers
    assert (found.worker_id, found.hive_id, found.model_id, found.state) == ("a", "h", "m", "ready")
    assert (found.slots_total, found.slots_free) == (4, 2)


def test_a_worker_that_was_seen_has_its_peak_and_its_estimate(colony) -> None:
    colony.beat_worker(worker("a"))
    colony.beat_worker(worker("b"))
    estimated = Estimate(
        weights_bytes=1, cache_bytes=1, overhead_bytes=1, total_bytes=3, rough=False, context_length=1, slots=1
    )
    seen, unseen = gauges(colony, {}, {}, {"a": Sight(estimate=estimated, peak_bytes=5)}).workers
    assert (seen.memory_peak_bytes, seen.memory_estimate_bytes) == (5, 3)
    assert (unseen.memory_peak_bytes, unseen.memory_estimate_bytes) == (None, None)


def test_a_worker_that_has_told_no_slots_has_none_known_and_not_zero(colony) -> None:
    colony.beat_worker(worker("a", slots_total=None, slots_available=None))
    (found,) = now(colony).workers
    assert (found.slots_total, found.slots_free) == (None, None)


def test_a_worker_that_is_no_longer_heard_of_is_silent_whatever_it_said(colony, clock) -> None:
    colony.beat_worker(worker("a"))
    clock.tick(16)
    assert [one.state for one in now(colony).workers] == ["silent"]


def test_memory_is_told_in_bytes_and_only_as_far_as_it_was_measured(colony) -> None:
    gpu = GpuStats(id="GPU-0", vram_used_mb=None, vram_total_mb=8)
    colony.update_hive_state(hive("h", NodeStats(ram_used_mb=1, ram_total_mb=3, gpus=(gpu,))))
    colony.update_hive_state(hive("blind"))
    assert now(colony).memory == [
        MemoryGauge(hive_id="h", device="ram", used_bytes=MIB, total_bytes=3 * MIB),
        MemoryGauge(hive_id="h", device="GPU-0", used_bytes=None, total_bytes=8 * MIB),
    ]


def test_a_hive_that_is_down_is_told_as_down_and_its_old_memory_not_at_all(colony, clock) -> None:
    colony.update_hive_state(hive("h", NodeStats(ram_used_mb=1, ram_total_mb=3)))
    clock.tick(11)
    found = now(colony)
    assert (found.hives, found.memory) == ({"h": False}, [])
