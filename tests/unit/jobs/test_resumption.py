"""Jobs that a crash cut off: a runner is dropped without its stop, and another one opens its store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from rbee.contract.errors import ConflictError, InvalidRequestError
from rbee.contract.wire import JobEvent, WorkerSpawn
from rbee.jobs import JobRunner, JobStore, Narrator, Operation

PATIENCE_S = 10
Make = Callable[..., Awaitable[JobRunner]]


class Work:
    """One operation that waits for the test, resumable or not."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[tuple[dict[str, Any], int]] = asyncio.Queue()
        self.go = asyncio.Event()

    def operations(self) -> dict[str, Operation]:
        return {
            "safe": Operation(handler=self.wait, resumable=True, complete=lambda body: {**body, "id": "made"}),
            "once": Operation(handler=self.wait),
            "spawn": Operation(handler=self.wait, request=WorkerSpawn),
        }

    async def wait(self, body: dict[str, Any], say: Narrator) -> dict[str, int]:
        say.say("test", "begin", f"beginning {say.resumed}")
        say.relay(JobEvent(type="narration", job_id="there", emitted_at_ms=1, actor="far", human="told there"))
        self.begun.put_nowait((body, say.resumed))
        await self.go.wait()
        return {"resumed": say.resumed}


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def make(work: Work, tmp_path: Path) -> AsyncIterator[Make]:
    runners: list[JobRunner] = []

    async def start() -> JobRunner:
        runner = JobRunner(JobStore.at(tmp_path / "jobs.db"), work.operations())
        await runner.start()
        runners.append(runner)
        return runner

    yield start
    for runner in runners:
        await runner.stop()


async def crash(runner: JobRunner) -> None:
    """What is in memory is lost; what has reached the store stays."""
    await runner._writer.flush()
    runner._writer.stop()
    for live in runner._live.values():
        runner._writer.add = lambda _row: None  # type: ignore[method-assign]
        runner._writer.end = _nothing  # type: ignore[method-assign]
        live.task.cancel()
        await asyncio.gather(live.task, return_exceptions=True)
    runner._live.clear()


async def _nothing(*_args: Any) -> None:
    return


async def watch(runner: JobRunner, job_id: str, after: int = 0) -> list[tuple[int, JobEvent]]:
    async with asyncio.timeout(PATIENCE_S):
        return [one async for one in runner.events(job_id, after)]


async def test_a_job_goes_on_with_its_id_its_body_and_its_events(make: Make, work: Work) -> None:
    first = await make()
    job = await first.submit({"operation": "safe", "model": "m"}, "cor-1")
    assert await work.begun.get() == ({"operation": "safe", "model": "m", "id": "made"}, 0)
    await crash(first)
    second = await make()
    assert await work.begun.get() == ({"operation": "safe", "model": "m", "id": "made"}, 1)
    assert (await second.get(job)).state == "running"
    work.go.set()
    events = await watch(second, job)
    said = [event.human for _, event in events if event.type == "narration"]
    assert said[:3] == ["beginning 0", "told there", "The program was restarted; safe is begun again (1 of 3 times)"]
    assert said[3:] == ["beginning 1"], "what came from elsewhere is not told twice"
    numbers = [number for number, _ in events]
    assert numbers == sorted(set(numbers))
    assert numbers[2] > 1000, "numbers that watchers may have seen in vain are left out"
    assert {event.correlation_id for _, event in events} == {"cor-1"}
    found = await second.get(job)
    assert (found.resumed, found.result) == (1, {"resumed": 1})
    for after in (1, 2, 500, numbers[2]):
        assert await watch(second, job, after) == [one for one in events if one[0] > after]
    await second.stop()
    third = await make()
    assert await watch(third, job) == events


async def test_what_may_be_done_once_alone_fails(make: Make, work: Work) -> None:
    first = await make()
    job = await first.submit({"operation": "once"})
    await work.begun.get()
    await crash(first)
    second = await make()
    assert [(one.state, one.error_code) for one in await second.list()] == [("failed", "UNAVAILABLE")]
    assert (await watch(second, job))[-1][1].type == "error"


async def test_a_job_that_is_cut_off_each_time_is_given_up(make: Make, work: Work) -> None:
    runner = await make()
    job = await runner.submit({"operation": "safe"})
    for life in range(4):
        assert (await work.begun.get())[1] == life
        await crash(runner)
        runner = await make()
    found = await runner.get(job)
    assert (found.state, found.resumed) == ("failed", 3)
    assert "begun again 3 times" in (found.error_message or "")
    assert work.begun.empty()
    assert (await watch(runner, job))[-1][1].code == "UNAVAILABLE"


async def test_what_an_orderly_stop_cancelled_stays_cancelled(make: Make, work: Work) -> None:
    first = await make()
    job = await first.submit({"operation": "safe"})
    await work.begun.get()
    await first.stop()
    assert (await (await make()).get(job)).state == "cancelled"


async def test_a_resumed_job_can_be_cancelled(make: Make, work: Work) -> None:
    first = await make()
    job = await first.submit({"operation": "safe"})
    await work.begun.get()
    await crash(first)
    second = await make()
    await work.begun.get()
    assert await second.cancel(job)
    assert (await watch(second, job))[-1][1].type == "cancelled"


async def test_a_request_with_the_same_key_starts_nothing_twice(make: Make, work: Work) -> None:
    runner = await make()
    ids = await asyncio.gather(*(runner.submit({"operation": "safe"}, key="k") for _ in range(5)))
    assert len(set(ids)) == 1
    with pytest.raises(ConflictError, match="'safe'"):
        await runner.submit({"operation": "once"}, key="k")
    assert await runner.submit({"operation": "safe"}, key="other") not in ids
    work.go.set()
    await watch(runner, ids[0])
    assert await runner.submit({"operation": "safe"}, key="k") == ids[0], "also when it has ended"


async def test_a_body_that_is_wrong_is_no_job(make: Make) -> None:
    runner = await make()
    with pytest.raises(InvalidRequestError, match="no field 'speed'"):
        await runner.submit({"operation": "spawn", "model": "m", "speed": 1})
    assert await runner.list() == []


async def test_jobs_are_listed_by_state(make: Make, work: Work) -> None:
    runner = await make()
    first = await runner.submit({"operation": "safe"})
    await work.begun.get()
    await runner.cancel(first)
    await watch(runner, first)
    second = await runner.submit({"operation": "safe"})
    await work.begun.get()
    assert [one.job_id for one in await runner.list(states=["running"])] == [second]
    assert [one.job_id for one in await runner.list(limit=1)] == [second]
    detail = await runner.get(second)
    assert (detail.started_at is not None, detail.finished_at, detail.said) == (True, None, "told there")
    assert detail.request == {"operation": "safe", "id": "made"}


async def test_a_job_that_cannot_be_read_any_more_fails_alone(make: Make, work: Work, tmp_path: Path) -> None:
    first = await make()
    strange, sound = await first.submit({"operation": "safe"}), await first.submit({"operation": "safe"})
    for _ in range(2):
        await work.begun.get()
    await crash(first)
    store = JobStore.at(tmp_path / "jobs.db")
    await store.open()
    await store.append([(strange, 900, b'{"type": "of another version"}')])
    await store.close()
    second = await make()
    async with asyncio.timeout(PATIENCE_S):
        assert (await work.begun.get())[1] == 1, "the other one goes on"
    row = await second._store.get(strange)
    assert (row.state, row.error_code) == ("failed", "UNAVAILABLE")
    assert "cannot be read" in row.error_message
    work.go.set()
    async with asyncio.timeout(PATIENCE_S):
        assert [event.type async for _, event in second.events(sound)][-1] == "done"
