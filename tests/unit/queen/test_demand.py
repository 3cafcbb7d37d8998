"""One load a model, however many wait for it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from rbee.contract.errors import (
    EngineUnavailableError,
    InsufficientDiskError,
    InsufficientMemoryError,
    ModelFileError,
    ModelNotFoundError,
    NoPlacementError,
    WorkerFailedError,
)
from rbee.contract.wire import JobEvent, RequestRecord
from rbee.queen.demand import Demand
from rbee.scheduler import Start

START = Start(hive_id="h", engine="e", device="CPU-0", model_id="m", evict=("idle",))
M = ("m",)


class FakeHives:
    """Hives whose jobs end when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, str, dict[str, Any]]] = []
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.trouble: Exception | None = None
        self.fetched = asyncio.Event()
        self.fetched.set()
        self.missing: Exception | None = None
        self.fetched_bytes = 0

    async def run(self, hive_id: str, operation: str, fields: dict[str, Any], tell: Any) -> dict[str, Any]:
        self.jobs.append((hive_id, operation, fields))
        if operation == "model_download":
            await self.fetched.wait()
            if self.missing is not None:
                raise self.missing
            return {"fetched_bytes": self.fetched_bytes}
        if operation == "worker_spawn":
            self.begun.set()
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                # A hive takes its time to take a worker down.
                await asyncio.sleep(0.02)
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
    async def evict(hive_id: str, worker_id: str, tell: Any) -> None:
        if worker_id == "busy":
            raise NoPlacementError(f"Worker {worker_id!r} is in use again.")
        await hives.run(hive_id, "worker_process_delete", {"worker_id": worker_id}, tell)
        forgotten.append(worker_id)

    return Demand(hives, clock, evict)


def loading(demand: Demand) -> bool:
    return bool(demand._loads)


async def test_all_who_want_a_model_share_one_load(demand, hives, forgotten) -> None:
    told: list[Any] = []
    waiting = [asyncio.create_task(demand.ensure(M, START, None, told.append, keep=True)) for _ in range(3)]
    await hives.begun.wait()
    assert loading(demand)
    joined = asyncio.create_task(demand.join(M, None, told.append, keep=False))
    await asyncio.sleep(0)
    hives.go.set()
    await asyncio.gather(*waiting, joined)
    assert [job[1] for job in hives.jobs] == ["model_download", "worker_process_delete", "worker_spawn"]
    first, spawned = (job[2] for job in hives.jobs if job[1] != "worker_process_delete")
    assert first == {"model": "m"}
    assert spawned.pop("worker_id").startswith("worker-")
    assert spawned == {"model": "m", "worker": "e", "device": "CPU-0"}
    assert forgotten == ["idle"]
    assert len(told) == 4
    assert not loading(demand)


async def test_joining_nothing_returns_at_once(demand) -> None:
    await demand.join(M, None, None, keep=True)


async def test_the_last_to_leave_cancels_the_load(demand, hives) -> None:
    waiting = [asyncio.create_task(demand.ensure(M, START, None, None, keep=False)) for _ in range(2)]
    await hives.begun.wait()
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    assert not hives.cancelled.is_set()
    waiting[1].cancel()
    await asyncio.gather(waiting[1], return_exceptions=True)
    assert hives.cancelled.is_set()
    assert not loading(demand)


async def test_one_who_wants_it_kept_is_enough(demand, hives) -> None:
    keeps = asyncio.create_task(demand.ensure(M, START, None, None, keep=True))
    leaves = asyncio.create_task(demand.ensure(M, START, None, None, keep=False))
    await hives.begun.wait()
    for task in (keeps, leaves):
        task.cancel()
    await asyncio.gather(keeps, leaves, return_exceptions=True)
    assert loading(demand)
    hives.go.set()
    await demand.join(M, None, None, keep=True)
    assert not hives.cancelled.is_set()


async def test_two_crashes_in_a_row_are_remembered_until_a_load_succeeds(demand, hives, clock) -> None:
    hives.go.set()
    hives.trouble = WorkerFailedError("it burst")
    with pytest.raises(WorkerFailedError):
        await demand.ensure(M, START, None, None, keep=True)
    assert demand.failure("m", "h") is None, "one crash may be an accident"
    with pytest.raises(WorkerFailedError):
        await demand.ensure(M, START, None, None, keep=True)
    assert demand.failure("m", "h") == (clock.now, "it burst", 2)
    assert demand.failure("m", "other") is None
    hives.trouble = None
    await demand.ensure(M, START, None, None, keep=True)
    assert demand.failure("m", "h") is None


async def test_the_crashes_of_many_models_take_no_room(demand, hives) -> None:
    hives.go.set()
    hives.trouble = WorkerFailedError("it burst")
    for number in range(1010):
        start = msgspec.structs.replace(START, model_id=f"m{number}")
        for _ in range(2):
            with pytest.raises(WorkerFailedError):
                await demand.ensure((f"m{number}",), start, None, None, keep=True)
    assert len(demand._failures) == 1000
    assert demand.failure("m0", "h") is None
    assert demand.failure("m1009", "h") is not None


async def test_a_lack_of_room_is_no_crash(demand, hives) -> None:
    hives.go.set()
    hives.trouble = NoPlacementError("full")
    with pytest.raises(NoPlacementError):
        await demand.ensure(M, START, None, None, keep=True)
    assert demand.failure("m", "h") is None


async def test_nobody_is_stopped_for_what_cannot_be_fetched(demand, hives, forgotten) -> None:
    hives.missing = ModelNotFoundError("it is gone")
    with pytest.raises(ModelNotFoundError):
        await demand.ensure(M, START, None, None, keep=True)
    assert ([job[1] for job in hives.jobs], forgotten) == (["model_download"], [])


async def test_what_is_there_is_not_fetched(demand, hives) -> None:
    hives.go.set()
    await demand.ensure(M, msgspec.structs.replace(START, present=True), None, None, keep=True)
    assert [job[1] for job in hives.jobs] == ["worker_process_delete", "worker_spawn"]


@pytest.mark.parametrize(
    "error",
    [InsufficientMemoryError("too small"), EngineUnavailableError("no engine"), ModelFileError("it is cut off")],
)
async def test_a_hive_that_cannot_run_a_variant_twice_in_a_row_is_left_alone(demand, hives, clock, error) -> None:
    hives.go.set()
    hives.trouble = error
    for _ in range(2):
        assert demand.failure("m", "h") is None
        with pytest.raises(type(error)):
            await demand.ensure(M, START, None, None, keep=True)
    assert demand.failure("m", "h") == (clock.now, error.message, 2)


async def test_a_full_disk_is_remembered_from_the_first_time(demand, hives, clock) -> None:
    hives.missing = InsufficientDiskError("full")
    with pytest.raises(InsufficientDiskError):
        await demand.ensure(M, START, None, None, keep=True)
    assert demand.failure("m", "h") == (clock.now, "full", 2)


@pytest.mark.parametrize(
    ("more", "joins"),
    [
        ({"present": True, "evict": ()}, False),
        ({"present": True}, True),
        ({"evict": ()}, True),
    ],
    ids=["it could start at once", "it would stop somebody", "it would fetch, too"],
)
async def test_a_load_that_still_fetches_is_joined_by_those_for_whom_nothing_is_quicker(
    demand, hives, more: dict[str, Any], joins: bool
) -> None:
    hives.fetched.clear()
    first = asyncio.create_task(demand.ensure(M, START, None, None, keep=True))
    await asyncio.sleep(0)
    other = msgspec.structs.replace(START, model_id="n", hive_id="i", **more)
    joining = asyncio.create_task(demand.join(("n", "m"), None, None, keep=True, start=other))
    await asyncio.sleep(0.02)
    assert joining.done() is not joins
    same = asyncio.create_task(demand.join(M, None, None, keep=True, start=START))
    hives.fetched.set()
    await hives.begun.wait()
    # Now it has its files: it suits everybody.
    anybody = asyncio.create_task(demand.join(("n", "m"), None, None, keep=True, start=other))
    hives.go.set()
    await first
    assert [await same, await anybody, await joining] == [True, True, joins]


async def test_closing_cancels_what_is_under_way(demand, hives) -> None:
    task = asyncio.create_task(demand.ensure(M, START, None, None, keep=True))
    await hives.begun.wait()
    await demand.close()
    assert hives.cancelled.is_set()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_newcomer_does_not_join_a_load_that_is_being_cancelled(demand, hives) -> None:
    leaver = asyncio.create_task(demand.ensure(M, START, None, None, keep=False))
    await hives.begun.wait()
    leaver.cancel()
    await hives.cancelled.wait()
    hives.begun.clear()
    hives.go.set()
    assert await demand.join(M, None, None, keep=True) is True
    await demand.ensure(M, START, None, None, keep=True)
    assert hives.begun.is_set()
    await asyncio.gather(leaver, return_exceptions=True)


async def test_a_request_that_insists_on_a_hive_joins_only_a_load_there(demand, hives) -> None:
    here = asyncio.create_task(demand.ensure(M, START, None, None, keep=True))
    await hives.begun.wait()
    assert await demand.join(M, "other", None, keep=True) is False
    hives.go.set()
    there = Start(hive_id="other", engine="e", device="CPU-0", model_id="m")
    await demand.ensure(M, there, "other", None, keep=True)
    await here
    assert [job[0] for job in hives.jobs if job[1] == "worker_spawn"] == ["h", "other"]


async def test_a_worker_in_use_is_not_stopped_to_make_room(demand, hives) -> None:
    start = Start(hive_id="h", engine="e", device="CPU-0", model_id="m", evict=("busy",))
    with pytest.raises(NoPlacementError, match="'busy'"):
        await demand.ensure(M, start, None, None, keep=True)
    assert [job[1] for job in hives.jobs] == ["model_download"]


async def test_those_who_want_any_of_several_variants_share_one_load(demand, hives) -> None:
    any_of = ("exl2", "m", "gguf")
    first = asyncio.create_task(demand.ensure(any_of, START, None, None, keep=True))
    await hives.begun.wait()
    other = msgspec.structs.replace(START, model_id="gguf", evict=())
    second = asyncio.create_task(demand.ensure(any_of, other, None, None, keep=True))
    precise = asyncio.create_task(demand.ensure(M, START, None, None, keep=True))
    await asyncio.sleep(0)
    # Who wants one that is not being loaded gets a load of its own.
    assert await demand.join(("gguf",), None, None, keep=True) is False
    hives.go.set()
    await asyncio.gather(first, second, precise)
    assert [job[2]["model"] for job in hives.jobs if job[1] == "worker_spawn"] == ["m"]


async def test_how_quickly_a_hive_fetches_is_measured_on_what_it_really_fetched(demand, hives, clock) -> None:
    hives.go.set()

    async def load(fetched_bytes: int, seconds: float) -> None:
        hives.fetched_bytes = fetched_bytes
        hives.fetched.clear()
        loaded = asyncio.create_task(demand.ensure(M, START, None, None, keep=True))
        for _ in range(3):
            await asyncio.sleep(0)
        clock.tick(seconds)
        hives.fetched.set()
        await loaded

    await load(1_000, 1)
    assert demand.fetch_bytes_s("h") is None
    await load(100_000_000, 10)
    assert demand.fetch_bytes_s("h") == 10_000_000
    await load(100_000_000, 5)
    assert demand.fetch_bytes_s("h") == 15_000_000
    assert demand.fetch_bytes_s("other") is None


def record(status: int = 200, error_code: str | None = None) -> RequestRecord:
    return RequestRecord(
        request_id="r", path="/v1/completions", model="m", model_id="m", worker_id="w", hive_id="h", status=status,
        error_code=error_code, first_byte_s=0.1, duration_s=0.2, bytes_out=1, prompt_tokens=1, stream=True, attempts=1,
    )  # fmt: skip


def test_workers_that_crash_again_and_again_after_they_have_loaded_are_told_as_such(demand: Demand) -> None:
    demand.crashed("m", "h", "worker 'a' crashed: its process ended with code 3")
    assert demand.failure("m", "h") is None
    demand.crashed("m", "h", "worker 'b' crashed: its process ended with code 3; its last words: boom")
    found = demand.failure("m", "h")
    assert found is not None
    assert (found[1:], demand.failure("m", "other")) == (
        ("worker 'b' crashed: its process ended with code 3; its last words: boom", 2), None,
    )  # fmt: skip


def test_one_that_has_answered_in_between_makes_earlier_crashes_accidents(demand: Demand) -> None:
    demand.crashed("m", "h", "why")
    demand.answered(record(502, "WORKER_FAILED"))
    demand.answered(record(200, "WORKER_FAILED"))
    demand.crashed("m", "h", "why")
    assert demand.failure("m", "h") is not None
    demand.answered(record())
    demand.crashed("m", "h", "why")
    assert demand.failure("m", "h") is None


def test_a_crash_of_long_ago_is_none_in_a_row(demand: Demand, clock) -> None:
    demand.crashed("m", "h", "why")
    clock.now += 601
    demand.crashed("m", "h", "why")
    assert demand.failure("m", "h") is None
