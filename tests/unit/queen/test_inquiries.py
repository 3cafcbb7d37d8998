"""What the queen asks of a worker of whom she knows only that it is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from rbee.clients import Credentials
from rbee.contract.wire import WorkerHeartbeat
from rbee.queen import inquiries as module
from rbee.queen.inquiries import Inquiries


class Worker:
    """Answers `GET /info` once it may, and notes how many ask at the same time."""

    def __init__(self) -> None:
        self.asking = self.most = self.answered = 0
        self.may = asyncio.Event()
        self.may.set()
        self.changed = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        worker_id = "w"
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"GET /info ")
            await self._note(1)
            await self.may.wait()
            beat = {"id": worker_id, "model_id": "m", "device": None, "port": 1, "status": "ready"}
            beat |= {"implementation": "e", "version": None}
            body = json.dumps({"worker": beat, "timestamp": "2025-11-01T12:00:00Z"}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            self.answered += 1
            await self._note(-1)
        finally:
            writer.close()

    async def _note(self, more: int) -> None:
        async with self.changed:
            self.asking += more
            self.most = max(self.most, self.asking)
            self.changed.notify_all()

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: self.asking == times)


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
async def url(worker: Worker) -> AsyncIterator[str]:
    server = await asyncio.start_server(worker.serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.fixture
def told() -> asyncio.Queue[WorkerHeartbeat]:
    return asyncio.Queue()


@pytest.fixture
async def inquiries(told: asyncio.Queue[WorkerHeartbeat]) -> AsyncIterator[Inquiries]:
    made = Inquiries(Credentials("token"), told.put_nowait)
    yield made
    await made.close()


async def test_the_answer_is_handed_on(inquiries: Inquiries, url: str, told: asyncio.Queue[WorkerHeartbeat]) -> None:
    inquiries.ask("w", url)
    async with asyncio.timeout(10):
        assert (await told.get()).worker.implementation == "e"


async def test_another_worker_at_the_address_is_not_taken_for_it(inquiries, url: str, told, worker: Worker) -> None:
    inquiries.ask("w2", url)
    inquiries.ask("w", url)
    async with asyncio.timeout(10):
        assert (await told.get()).worker.id == "w"
        while worker.answered < 2:
            await asyncio.sleep(0.001)
    assert told.empty()


async def test_one_is_asked_once_at_a_time_and_many_not_all_at_once(
    inquiries: Inquiries, url: str, told, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    few = Inquiries(Credentials(), told.put_nowait)
    worker.may.clear()
    for number in range(9):
        few.ask(f"w{number % 5}", url)
    await worker.until_asked(3)
    worker.may.set()
    async with asyncio.timeout(10):
        while worker.answered < 5:
            await asyncio.sleep(0.001)
    assert worker.most == 3
    await few.close()


async def test_silence_is_no_error_and_the_worker_may_be_asked_again(inquiries: Inquiries, url: str, told) -> None:
    inquiries.ask("w", "http://127.0.0.1:1")
    async with asyncio.timeout(10):
        while inquiries._asking:
            await asyncio.sleep(0.001)
    assert told.empty()
    inquiries.ask("w", url)
    async with asyncio.timeout(10):
        assert (await told.get()).worker.id == "w"


async def test_closing_gives_up_what_is_being_asked(inquiries: Inquiries, url: str, worker: Worker, told) -> None:
    worker.may.clear()
    inquiries.ask("w", url)
    await worker.until_asked(1)
    await inquiries.close()
    inquiries.ask("other", url)
    assert told.empty()
    assert not inquiries._asking
    worker.may.set()


async def test_who_has_spoken_for_itself_before_its_turn_is_not_asked(
    url: str, told, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    unheard = {"a", "b", "w"}
    one = Inquiries(Credentials(), told.put_nowait, unheard.__contains__)
    worker.may.clear()
    for name in ("a", "b", "w"):
        one.ask(name, url)
    await worker.until_asked(1)
    unheard.discard("b")
    worker.may.set()
    async with asyncio.timeout(10):
        assert (await told.get()).worker.id == "w"
    assert worker.answered == 2
    await one.close()
