"""The aggregate form: a hive speaks for its workers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from rbee.contract import WorkerState
from rbee.contract.wire import AggregateHeartbeat, AggregateWorker, Registration, WorkerBeat
from rbee.telemetry import TelemetryRegistry
from rbee.telemetry.aggregate import device_called, process_stats

STAMP = datetime(2025, 11, 1, 12, tzinfo=UTC)
BODY = b"""{"hive_id": "localhost", "timestamp": "2025-11-01T12:00:00Z", "workers": [{"worker_id": "w", "state": "Idle",
"last_heartbeat": "2025-11-01T11:59:58Z", "health_status": "healthy", "url": "http://localhost:9300", "model_id": "m",
"backend": "cuda", "device_id": 0, "vram_bytes": 8000000000, "ram_bytes": 2097152, "cpu_percent": 15.0,
"gpu_percent": 25.0}]}"""


@pytest.fixture
def colony(clock) -> TelemetryRegistry:
    return TelemetryRegistry(clock)


def told(after_s: float = 0, *workers: AggregateWorker) -> AggregateHeartbeat:
    return AggregateHeartbeat(hive_id="h", timestamp=STAMP + timedelta(seconds=after_s), workers=workers)


def worker(**more: Any) -> AggregateWorker:
    fields: dict[str, Any] = {"worker_id": "w", "state": "Idle", "model_id": "m", "url": "http://a:1"}
    return AggregateWorker(**(fields | more))


def own_beat(seq: int = 1, **more: Any) -> WorkerBeat:
    fields: dict[str, Any] = {"model_id": "own", "device": None, "port": 2, "status": "busy"}
    return WorkerBeat(id="w", seq=seq, implementation="e", version=None, **(fields | more))


def test_the_form_of_the_documents_gives_a_worker_that_serves(colony) -> None:
    assert colony.update_aggregate(msgspec.json.decode(BODY, type=AggregateHeartbeat)) is True
    record = colony.describe(colony.get_worker("w"))
    assert (record.url, record.model_id, record.backend, record.device) == (
        "http://localhost:9300",
        "m",
        "cuda",
        "GPU-0",
    )
    assert (record.state, record.presence, record.routable) == ("ready", "online", True)
    assert (record.hive_id, record.pid, record.vram_mb, record.rss_mb) == ("localhost", None, 7629, 2)
    assert (record.cpu_pct, record.gpu_pct, record.slots_total) == (15.0, 25.0, None)
    assert colony.is_hive_online("localhost")
    assert colony.find_best_worker_for_model("m").worker_id == "w"


def test_its_figures_are_in_the_units_of_process_stats() -> None:
    stats = process_stats(worker(url="http://a:9300/", vram_bytes=3 * 2**20, ram_bytes=None, device_id=1))
    assert (stats.pid, stats.port, stats.instance, stats.vram_mb, stats.rss_mb) == (None, 9300, "9300", 3, None)
    assert (stats.total_vram_mb, stats.gpu, stats.worker_id, stats.model) == (None, "GPU-1", "w", "m")
    assert process_stats(worker(url="gopher://a")).port is None


@pytest.mark.parametrize(
    ("device", "backend", "called"),
    [(0, "cuda", "GPU-0"), (1, "CPU", "CPU-1"), (0, None, "GPU-0"), ("GPU-3", "cpu", "GPU-3"), (None, "cpu", None)],
)
def test_a_device_is_called_as_elsewhere(device: int | str | None, backend: str | None, called: str | None) -> None:
    assert device_called(worker(device_id=device, backend=backend)) == called


def test_a_late_or_replayed_beat_changes_nothing(colony) -> None:
    assert colony.update_aggregate(told(5, worker())) is True
    assert colony.update_aggregate(told(5)) is False
    assert colony.update_aggregate(told(4)) is False
    assert len(colony.get_workers("h")) == 1


def test_a_hive_whose_clock_was_set_back_is_heard_again(colony, clock) -> None:
    colony.update_aggregate(told(3600, worker()))
    clock.tick(9)
    assert colony.update_aggregate(told(9, worker())) is False
    clock.tick(1)
    assert colony.update_aggregate(told(10, worker())) is True


def test_a_time_without_a_zone_is_utc(colony) -> None:
    colony.update_aggregate(told(5, worker()))
    naive = AggregateHeartbeat(hive_id="h", timestamp=STAMP.replace(tzinfo=None), workers=())
    assert colony.update_aggregate(naive) is False


def test_a_worker_that_its_hive_no_longer_lists_is_gone(colony) -> None:
    colony.update_aggregate(told(1, worker()))
    colony.update_aggregate(told(2))
    assert colony.cleanup() == ["w"]


def test_a_worker_that_speaks_for_itself_is_believed_before_its_hive(colony, clock) -> None:
    colony.beat_worker(own_beat(url="http://own:2"))
    colony.update_aggregate(told(1, worker(gpu_percent=40.0)))
    record = colony.describe(colony.get_worker("w"))
    assert (record.url, record.model_id, record.state, record.gpu_pct) == ("http://own:2", "own", "busy", 40.0)
    clock.tick(1)
    colony.update_aggregate(told(2))
    assert colony.presence(colony.get_worker("w")) == "unobserved"


def test_its_own_beat_takes_over_from_its_hive(colony) -> None:
    colony.update_aggregate(told(1, worker()))
    colony.beat_worker(own_beat())
    entry = colony.get_worker("w")
    assert (entry.model_id, entry.state, entry.url) == ("own", WorkerState.BUSY, "http://a:1")


def test_a_worker_of_which_the_hive_hears_nothing_is_hung(colony, clock) -> None:
    heard = STAMP
    for second in range(1, 40):
        colony.update_aggregate(told(second, worker(last_heartbeat=heard)))
        clock.tick(1)
        presence = colony.presence(colony.get_worker("w"))
        assert presence == ("online" if second < 15 else "hung")
    colony.update_aggregate(told(41, worker(last_heartbeat=STAMP + timedelta(seconds=40))))
    assert colony.presence(colony.get_worker("w")) == "online"


def test_a_worker_heard_of_long_ago_does_not_beat_from_the_start(colony) -> None:
    colony.update_aggregate(told(60, worker(last_heartbeat=STAMP)))
    assert colony.presence(colony.get_worker("w")) == "hung"
    colony.register_worker(Registration(worker_id="w", url="http://b:1", model="m"))
    assert colony.presence(colony.get_worker("w")) == "online"


def test_a_silent_worker_is_not_alive_because_its_hive_lists_it(colony, clock) -> None:
    colony.beat_worker(own_beat())
    clock.tick(15)
    colony.update_aggregate(told(1, worker()))
    assert colony.presence(colony.get_worker("w")) == "hung"


def test_an_unwell_worker_gets_nothing_until_it_is_well(colony) -> None:
    colony.update_aggregate(told(1, worker(health_status="Unhealthy")))
    assert not colony.is_routable(colony.get_worker("w"))
    assert colony.find_best_worker_for_model("m") is None
    colony.update_aggregate(told(2, worker(health_status="Healthy")))
    assert colony.is_routable(colony.get_worker("w"))


def test_an_odd_state_leaves_the_last_one(colony) -> None:
    colony.update_aggregate(told(1, worker(state="Busy")))
    colony.update_aggregate(told(2, worker(state="Meditating", url="not an address")))
    entry = colony.get_worker("w")
    assert (entry.state, entry.url) == (WorkerState.BUSY, "http://a:1")
    colony.update_aggregate(told(3, worker(worker_id="new", state="Meditating")))
    assert colony.get_worker("new").state is WorkerState.STARTING
