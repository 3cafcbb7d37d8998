"""Clients that read nothing make a worker wait, and not the queen's memory grow."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from rbee.contract.wire import utc_now
from rbee.testing.colony import Home, eventually

READERS = 200
KIB_EACH = 64
PATIENCE_S = 60.0
MODEL = "endless"
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}]}\n\n'
BLOCK = b"%x\r\n%b\r\n" % (len(EVENT) * 40, EVENT * 40)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
BODY = json.dumps({"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "go on"}]}).encode()


class Queen:
    """A queen in a process of her own."""

    def __init__(self, home: Home, url: str, pid: int) -> None:
        self.home = home
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self.process = psutil.Process(pid)
        self._seq = 0

    async def settled(self) -> int:
        """Resident bytes, once her start has let go of what it needed."""
        seen, now = -1, self.process.memory_info().rss
        while seen != now:
            await asyncio.sleep(0.7)  # that nothing more changes is no event
            seen, now = now, self.process.memory_info().rss
        return now

    def tell(self, path: str, body: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {self.home.token}", "Content-Type": "application/json"}
        asked = urllib.request.Request(self.url + path, msgspec.json.encode(body), headers)
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            assert answer.status in {200, 201}

    def hears_of(self, port: int, slots: int) -> None:
        url = f"http://127.0.0.1:{port}"
        if not self._seq:
            known = {"url": url, "model_ref": MODEL, "backend": "cpu", "device": 0, "vram_bytes": 0}
            self.tell("/v1/workers/register", {"worker_id": MODEL, **known})
        self._seq += 1
        beat = {
            "id": MODEL, "model_id": MODEL, "device": "CPU-0", "port": port, "status": "ready", "url": url,
            "implementation": "endless", "version": "1", "instance_id": MODEL, "seq": self._seq,
            "slots_total": slots, "slots_available": slots, "queue_depth": 0, "capabilities": ["chat"],
        }  # fmt: skip
        self.tell("/v1/worker-heartbeat", {"worker": beat, "timestamp": utc_now()})


@pytest.fixture
def queen(tmp_path: Path) -> Iterator[Queen]:
    home = Home(tmp_path, {"queen.port": "0", "server.log_level": "warning"})
    with home.start("queen", "start", "--json") as command:
        told = json.loads(eventually(lambda: command.stdout.partition("\n")[1] and command.stdout, PATIENCE_S))
        yield Queen(home, told["url"], command.process.pid)
    assert home.nothing_left(PATIENCE_S)


class Endless:
    """A worker that goes on for ever, as far as it is read."""

    def __init__(self) -> None:
        self.port = 0
        self.sent = 0
        self.writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(HEAD)
                while True:
                    writer.write(BLOCK)
                    await writer.drain()
                    self.sent += len(BLOCK)
        finally:
            self.writers.discard(writer)
            writer.close()


def stalled(port: int) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    client.sendall(head + BODY)
    return client


@pytest.fixture
async def worker() -> AsyncIterator[Endless]:
    made = Endless()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, backlog=2 * READERS)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    for writer in made.writers:
        writer.transport.abort()
    while made.writers:
        await asyncio.sleep(0.01)


async def test_readers_that_stall_do_not_make_the_queen_grow_and_give_their_places_back(
    queen: Queen, worker: Endless
) -> None:
    await asyncio.to_thread(queen.hears_of, worker.port, READERS)
    before = await queen.settled()
    with contextlib.ExitStack() as clients:
        async with asyncio.timeout(PATIENCE_S):
            asked = [asyncio.to_thread(stalled, queen.port) for _ in range(READERS)]
            for client in await asyncio.gather(*asked):
                clients.enter_context(client)
            while len(worker.writers) < READERS:
                await asyncio.sleep(0.01)
            seen = -1
            while seen != worker.sent:
                seen = worker.sent
                await asyncio.to_thread(queen.hears_of, worker.port, READERS)
                await asyncio.sleep(0.5)  # that nothing more comes is no event
        grown = (await queen.settled() - before) / 1024 / READERS
    async with asyncio.timeout(1.0):
        while worker.writers:
            await asyncio.sleep(0.01)
    assert seen > READERS * KIB_EACH * 1024, "they were sent too little to show anything"
    assert grown < KIB_EACH, f"{grown:.1f} KiB for each"
    print(f"{grown:.1f} KiB for each of {READERS} readers; {seen / READERS / 1024:.0f} KiB sent to each")
