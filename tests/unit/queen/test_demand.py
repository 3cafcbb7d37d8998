"""One load a model, however many wait for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rbee.contract import Backend
from rbee.contract.errors import NoPlacementError, WorkerFailedError
from rbee.contract.wire import JobEvent
from rbee.queen.demand import Demand
from rbee.scheduler import Start

START = Start(hive_id="h", engine="e", device="CPU-0", backend=Backend.CPU, evict=("idle",))


class FakeHives:
    """Hives whose jobs end when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, str, dict[str, Any]]] = []
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.trouble: Exception | None = None

    async def run(self, hive_id: str, operation: str, fields: dict[str, Any], tell: Any) -> dict[str, Any]:
        self.jobs.append((hive_id, operation, fields))
        if operation == "worker_spawn":
            self.begun.set()
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            tell(JobEvent(type="narration", job_id="j", emitted_at_ms=1, human="loaded"))
            if self.trouble is not None:
                raise self.trouble
        return {}


@pytest.fixture
def hives() -> FakeHives:
    return FakeHives()


@pytest.fixture
def forgotten() -> list[str]:
    return []


@pytest.fixture
def demand(hives: FakeHives, clock, forgotten: list[str]) -> Demand:
    return Demand(hives, clock, forgotten.append)


async def test_all_who_want_a_model_share_one_load(demand, hives, shelf, forgotten) -> None:
    variant, told = shelf.put("m", {}), []
    waiting = [asyncio.create_task(demand.ensure(variant, START, told.append, keep=True)) for _ in range(3)]
    await hives.begun.wait()
    assert demand.loading("shelf:m")
    joined = asyncio.create_task(demand.join("shelf:m", told.append, keep=False))
    await asyncio.sleep(0)
    hives.go.set()
    await asyncio.gather(*waiting, joined)
    assert [job[1] for job in hives.jobs] == ["worker_process_delete", "worker_spawn"]
    assert hives.jobs[1][2] == {"model": "shelf:m", "worker": "e", "device": "CPU-0"}
    assert forgotten == ["idle"]
    assert len(told) == 4
    assert not demand.loading("shelf:m")


async def test_joining_nothing_returns_at_once(demand) -> None:
    await demand.join("shelf:m", None, keep=True)


async def test_the_last_to_leave_cancels_the_load(demand, hives, shelf) -> None:
    variant = shelf.put("m", {})
    waiting = [asyncio.create_task(demand.ensure(variant, START, None, keep=False)) for _ in range(2)]
    await hives.begun.wait()
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    assert not hives.cancelled.is_set()
    waiting[1].cancel()
    await asyncio.gather(waiting[1], return_exceptions=True)
    assert hives.cancelled.is_set()
    assert not demand.loading("shelf:m")


async def test_one_who_wants_it_kept_is_enough(demand, hives, shelf) -> None:
    variant = shelf.put("m", {})
    keeps = asyncio.create_task(demand.ensure(variant, START, None, keep=True))
    leaves = asyncio.create_task(demand.ensure(variant, START, None, keep=False))
    await hives.begun.wait()
    for task in (keeps, leaves):
        task.cancel()
    await asyncio.gather(keeps, leaves, return_exceptions=True)
    assert demand.loading("shelf:m")
    hives.go.set()
    await demand.join("shelf:m", None, keep=True)
    assert not hives.cancelled.is_set()


async def test_a_crash_is_remembered_with_its_time_until_a_load_succeeds(demand, hives, shelf, clock) -> None:
    variant = shelf.put("m", {})
    hives.go.set()
    hives.trouble = WorkerFailedError("it burst")
    with pytest.raises(WorkerFailedError):
        await demand.ensure(variant, START, None, keep=True)
    assert demand.failure("shelf:m", "h") == (clock.now, "it burst")
    assert demand.failure("shelf:m", "other") is None
    hives.trouble = None
    await demand.ensure(variant, START, None, keep=True)
    assert demand.failure("shelf:m", "h") is None


async def test_a_lack_of_room_is_no_crash(demand, hives, shelf) -> None:
    hives.go.set()
    hives.trouble = NoPlacementError("full")
    with pytest.raises(NoPlacementError):
        await demand.ensure(shelf.put("m", {}), START, None, keep=True)
    assert demand.failure("shelf:m", "h") is None


async def test_closing_cancels_what_is_under_way(demand, hives, shelf) -> None:
    task = asyncio.create_task(demand.ensure(shelf.put("m", {}), START, None, keep=True))
    await hives.begun.wait()
    await demand.close()
    assert hives.cancelled.is_set()
    await asyncio.gather(task, return_exceptions=True)
