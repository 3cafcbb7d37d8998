"""Workers that are being stopped."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rbee.contract.errors import NoPlacementError, WorkerFailedError
from rbee.contract.types import WorkerState
from rbee.contract.wire import HiveHeartbeat, HiveInfo, JobEvent, ProcessStats, WorkerBeat, utc_now
from rbee.queen.departures import Departures
from rbee.telemetry import TelemetryRegistry

PATIENCE_S = 10.0


class Hives:
    """One whose stops end when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.go = asyncio.Event()
        self.trouble: Exception | None = None

    async def run(
        self, hive_id: str, operation: str, fields: dict[str, Any], tell: Any, *, correlation_id: str | None = None
    ) -> dict[str, Any]:
        assert operation == "worker_process_delete"
        self.asked.append((hive_id, fields))
        await self.go.wait()
        if self.trouble is not None:
            raise self.trouble
        return {}


class Scene:
    def __init__(self, clock: Any) -> None:
        self.telemetry = TelemetryRegistry(clock)
        self.hives = Hives()
        self.departures = Departures(self.telemetry, self.hives)  # type: ignore[arg-type]  # all that is asked of it
        self.told: list[JobEvent] = []
        self._seq = 0

    def worker(self, name: str = "w", busy: int = 0) -> None:
        self._seq += 1
        self.telemetry.beat_worker(
            WorkerBeat(
                id=name, model_id="m", device="CPU-0", port=1, status="ready", implementation="e", version=None,
                instance_id="i", seq=self._seq, slots_total=2, slots_available=2 - busy, hive_id="h",
            )
        )  # fmt: skip

    def hive(self, *measured: str) -> None:
        samples = tuple(ProcessStats(pid=number, worker_id=name) for number, name in enumerate(measured, 1))
        self.telemetry.update_hive_state(
            HiveHeartbeat(hive=HiveInfo(id="h", hostname="x", port=1), timestamp=utc_now(), workers=samples)
        )

    def begin(self, name: str = "w") -> asyncio.Task[None] | None:
        return self.departures.begin_idle("h", name, self.told.append)

    def state(self, name: str = "w") -> WorkerState | None:
        entry = self.telemetry.get_worker(name)
        return None if entry is None else entry.state


@pytest.fixture
def scene(clock) -> Scene:
    return Scene(clock)


async def test_an_idle_worker_leaves_routing_at_once_and_is_gone_in_the_end(scene) -> None:
    scene.worker()
    task = scene.begin()
    assert scene.state() is WorkerState.DRAINING
    assert scene.departures.leaves("w")
    assert scene.departures.any
    assert scene.departures.on("h")
    assert not scene.departures.on("elsewhere")
    ended = asyncio.create_task(scene.departures.one_ends(PATIENCE_S))
    scene.hives.go.set()
    await task
    assert await ended
    assert scene.state() is None
    assert not scene.departures.any
    assert scene.hives.asked == [("h", {"worker_id": "w"})]


async def test_a_stop_is_over_once_the_hive_no_longer_measures_the_worker(scene) -> None:
    scene.worker()
    scene.hive("w", "v")
    task = scene.begin()
    scene.hives.go.set()
    done, _ = await asyncio.wait([task], timeout=0.2)
    assert not done
    assert scene.departures.on("h")
    scene.hive("v")
    await asyncio.wait_for(task, PATIENCE_S)
    assert not scene.departures.any
    assert scene.told == []


async def test_one_in_use_or_on_its_way_is_left_alone(scene) -> None:
    scene.worker(busy=1)
    assert scene.begin() is None
    scene.worker("reserved")
    scene.telemetry.reserve("reserved")
    assert scene.begin("reserved") is None
    scene.worker("idle")
    first = scene.begin("idle")
    assert scene.begin("idle") is None
    with pytest.raises(NoPlacementError, match="'idle', which was to make room, is in use again"):
        await scene.departures.evict("h", "idle", scene.told.append)
    scene.hives.go.set()
    await first
    assert len(scene.hives.asked) == 1


async def test_what_could_not_be_stopped_serves_again_and_whoever_evicts_it_hears_why(scene) -> None:
    scene.worker()
    scene.hives.trouble = WorkerFailedError("it does not want to")
    scene.hives.go.set()
    with pytest.raises(WorkerFailedError, match="does not want to"):
        await scene.departures.evict("h", "w", scene.told.append)
    assert scene.state() is WorkerState.READY
    assert not scene.departures.any


async def test_a_busy_worker_that_is_told_to_stop_gets_nothing_new_and_nobody_waits_for_its_room(scene) -> None:
    scene.worker(busy=1)
    stop = asyncio.create_task(scene.departures.stop("h", "w", scene.told.append))
    await asyncio.sleep(0)
    assert scene.state() is WorkerState.DRAINING
    assert not scene.departures.any
    assert not await scene.departures.one_ends(PATIENCE_S)
    scene.hives.go.set()
    await stop
    assert scene.state() is None


async def test_one_that_is_forced_to_stop_is_gone_in_a_moment(scene) -> None:
    scene.worker(busy=1)
    stop = asyncio.create_task(scene.departures.stop("h", "w", scene.told.append, force=True))
    await asyncio.sleep(0)
    assert scene.departures.leaves("w")
    scene.hives.go.set()
    await stop
    assert scene.hives.asked == [("h", {"worker_id": "w", "force": True})]


async def test_who_stops_one_that_leaves_waits_for_that_end_and_breaking_off_ends_only_the_waiting(scene) -> None:
    scene.worker()
    leaving = scene.begin()
    second = asyncio.create_task(scene.departures.stop("h", "w", scene.told.append))
    third = asyncio.create_task(scene.departures.stop("h", "w", scene.told.append))
    await asyncio.sleep(0)
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)
    assert not leaving.done()
    scene.hives.go.set()
    await second
    assert len(scene.hives.asked) == 1


async def test_a_wait_for_a_departure_has_an_end(scene) -> None:
    assert not await scene.departures.one_ends(PATIENCE_S)
    scene.worker()
    task = scene.begin()
    assert not await scene.departures.one_ends(0.0)
    assert not await scene.departures.one_ends(0.01)
    scene.hives.go.set()
    await task
