"""Background tasks that do not die silently."""

from __future__ import annotations

import asyncio

import pytest
from rbee.clients import keep_running


async def test_what_fails_is_logged_and_started_again(caplog: pytest.LogCaptureFixture) -> None:
    starts = 0
    third = asyncio.Event()

    async def work() -> None:
        nonlocal starts
        starts += 1
        if starts < 3:
            raise KeyError("odd")
        third.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(keep_running("the lease", work, first_s=0.001))
    async with asyncio.timeout(10):
        await third.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    failures = [record for record in caplog.records if "the lease failed" in record.message]
    assert len(failures) == 2
    assert failures[0].exc_info


async def test_what_has_done_its_work_is_not_started_again() -> None:
    starts = []

    async def work() -> None:
        starts.append(1)

    await keep_running("once", work)
    assert starts == [1]


async def test_waits_grow_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("rbee.clients.supervised.jittered", lambda wait: waits.append(wait) or 0.0)

    async def work() -> None:
        if len(waits) < 7:
            raise ValueError

    await keep_running("it", work)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
