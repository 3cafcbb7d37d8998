"""What a hive tells the queen."""

from __future__ import annotations

import asyncio
from unittest.mock import AsyncMock, Mock

import pytest
from rbee.clients import Credentials
from rbee.contract.wire import HiveBeatAnswer, HiveHeartbeat, HiveInfo, utc_now
from rbee.hive import reporter
from rbee.hive.children import Child
from rbee.hive.reporter import Reporter
from rbee.settings import Settings


@pytest.fixture
def queen(monkeypatch) -> Mock:
    told = Mock(beat_hive=AsyncMock())
    monkeypatch.setattr(reporter, "QueenClient", lambda transport: told)
    return told


@pytest.fixture
def reporting() -> Reporter:
    one = Reporter(Mock(), Settings(), Credentials(), "http://127.0.0.1:9", None)
    one._lookup._use("http://127.0.0.1:9")
    return one


LAST = HiveHeartbeat(
    hive=HiveInfo(id="h", hostname="x", port=1, operational_status="stopping"), timestamp=utc_now(), workers=()
)


async def test_the_last_beat_reaches_the_queen(reporting: Reporter, queen: Mock) -> None:
    await reporting.tell_stopping(LAST)
    queen.beat_hive.assert_awaited_once_with(LAST)


async def test_a_queen_that_does_not_answer_holds_up_no_stop(reporting: Reporter, queen: Mock, monkeypatch) -> None:
    monkeypatch.setattr(reporter, "_LAST_BEAT_S", 0.01)

    async def never(beat: HiveHeartbeat) -> None:
        await asyncio.Event().wait()

    queen.beat_hive.side_effect = never
    async with asyncio.timeout(5):
        await reporting.tell_stopping(LAST)


async def test_without_a_queen_the_last_beat_is_not_sent(reporting: Reporter, queen: Mock) -> None:
    reporting._lookup._retire()
    await reporting.tell_stopping(LAST)
    queen.beat_hive.assert_not_awaited()


async def test_of_a_worker_that_has_ended_the_queen_is_told_with_its_process_and_how_it_crashed(
    reporting: Reporter, queen: Mock
) -> None:
    removed = asyncio.Event()
    queen.remove_worker = AsyncMock(side_effect=lambda *_, **__: removed.set())
    child = Child(worker_id="w", pid=4711, created=0.0, port=1, threads=1, model_id="m")
    reporting.worker_gone(child, "its process ended with code 3")
    async with asyncio.timeout(5):
        await removed.wait()
    queen.remove_worker.assert_awaited_once_with("w", pid=4711, crashed="its process ended with code 3")


async def test_an_oddity_does_not_end_the_reports(reporting: Reporter, queen: Mock, monkeypatch) -> None:
    monkeypatch.setattr("rbee.clients.supervised.jittered", lambda seconds: 0.0)
    heard = asyncio.Event()
    queen.register_hive = AsyncMock(side_effect=[KeyError("odd"), None])
    queen.beat_hive.side_effect = lambda beat: heard.set() or HiveBeatAnswer()
    reporting._hive.measure = AsyncMock(return_value=LAST)
    task = asyncio.create_task(reporting.run())
    try:
        async with asyncio.timeout(5):
            await heard.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
