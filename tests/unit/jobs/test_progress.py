"""The progress of a long job: all of it to who watches, little of it in memory and in the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rbee.contract.wire import JobEvent
from rbee.jobs import JobRunner, JobStore, Narrator, Operation

PATIENCE_S = 10


class Download:
    """Tells as much progress as the test asks for, and between two sentences."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.go = asyncio.Event()
        self.steps = 1000

    async def run(self, _body: dict[str, Any], say: Narrator) -> None:
        say.say("test", "fetch", "fetching", "a")
        for done in range(self.steps):
            for action in ("a", "b"):
                say.relay(JobEvent(type="progress", job_id="x", emitted_at_ms=1, action=action, done=done, total=9999))
            if done == 500:
                say.say("test", "fetch", "half", "a")
        self.told.set()
        await self.go.wait()


@pytest.fixture
def download() -> Download:
    return Download()


@pytest.fixture
async def runner(download: Download, tmp_path: Path) -> AsyncIterator[JobRunner]:
    one = JobRunner(JobStore.at(tmp_path / "jobs.db"), {"fetch": Operation(handler=download.run)}, linger_s=0.0)
    await one.start()
    yield one
    await one.stop()


async def watch(runner: JobRunner, job_id: str, after: int = 0) -> list[tuple[int, JobEvent]]:
    async with asyncio.timeout(PATIENCE_S):
        return [one async for one in runner.events(job_id, after)]


def short(events: list[tuple[int, JobEvent]]) -> list[Any]:
    return [
        (event.action, event.done) if event.type == "progress" else event.human or event.type for _, event in events
    ]


async def test_who_comes_late_gets_the_newest_progress_in_its_place_and_can_go_on_behind_it(
    runner: JobRunner, download: Download
) -> None:
    job_id = await runner.submit({"operation": "fetch"})
    await download.told.wait()
    assert runner._live[job_id].kept == 4
    late = asyncio.create_task(watch(runner, job_id))
    await asyncio.sleep(0)
    download.go.set()
    events = await late
    assert short(events) == ["fetching", "half", ("a", 999), ("b", 999), "done"]
    numbers = [number for number, _ in events]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 2003, "what is gone keeps its number"


async def test_the_store_gets_the_first_and_the_last_progress_of_a_second(
    runner: JobRunner, download: Download
) -> None:
    job_id = await runner.submit({"operation": "fetch"})
    download.go.set()
    await watch(runner, job_id)
    async with asyncio.timeout(PATIENCE_S):
        while job_id in runner._live:
            await asyncio.sleep(0.01)
    stored = short(await watch(runner, job_id))
    assert [one for one in stored if isinstance(one, str)] == ["fetching", "half", "done"]
    assert {("a", 0), ("b", 0), ("a", 999), ("b", 999)} <= {one for one in stored if not isinstance(one, str)}
    assert len(stored) < 40
    assert stored[-3:] == [("a", 999), ("b", 999), "done"]


async def test_who_watches_from_the_beginning_hears_of_progress_as_it_comes(
    runner: JobRunner, download: Download
) -> None:
    download.steps = 0
    job_id = await runner.submit({"operation": "fetch"})
    watching = asyncio.create_task(watch(runner, job_id))
    await download.told.wait()
    live = runner._live[job_id]
    for done in range(3):
        live.add(JobEvent(type="progress", job_id=job_id, emitted_at_ms=1, action="a", done=done))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    download.go.set()
    assert short(await watching) == ["fetching", ("a", 0), ("a", 1), ("a", 2), "done"]
