"""Real processes on one port, with places from one dispatcher."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import psutil
import pytest
from rbee.contract.wire import RequestRecord
from rbee.gates import GateKeeper, Welcome
from rbee.gateway import Target
from rbee.http.guard import Guard
from rbee.http.ports import listen, port_of
from rbee.http.server import HttpServer
from unit.gates.line import QueensPlaces

PATIENCE_S = 30
ASK = {"model": "m", "messages": []}


async def queen_app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b'{"by": "the queen"}'})


class Worker:
    """Answers each request when it may."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may = asyncio.Event()
        self.may.set()
        self.gone = asyncio.Event()
        self.heads: list[bytes] = []
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(length)
                self.heads.append(head)
                self.asked.set()
                await self.may.wait()
                body = b'{"by": "a gate"}'
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        self.gone.set()
        writer.close()


class Colony:
    """The queen's port with one gate on it."""

    def __init__(self) -> None:
        self.worker = Worker()
        self.records: list[RequestRecord] = []
        self.recorded = asyncio.Event()
        self.sock = listen("127.0.0.1", 0, "a test", shared=True)
        self.inner = listen("127.0.0.1", 0, "a test")
        self.url = f"http://127.0.0.1:{port_of(self.sock)}"
        self.servers = [HttpServer(queen_app, sock) for sock in (self.sock, self.inner)]

    async def open(self) -> None:
        self._server = await asyncio.start_server(self.worker.handle, "127.0.0.1", 0)
        self.places = QueensPlaces(Target(host="127.0.0.1", port=port_of(self._server.sockets[0])))
        for server in self.servers:
            await server.start()
        welcome = Welcome(
            guard=Guard(token="t", host="127.0.0.1", require_token=True),
            max_body=1024 * 1024,
            queen_port=port_of(self.inner),
            log_level=logging.WARNING,
            drain_s=5.0,
        )
        self.keeper = GateKeeper(1, self.sock, self.places, self._observe, welcome, os.environ)
        await self.keeper.start()

    async def close(self) -> None:
        self.worker.may.set()
        await self.keeper.stop()
        for server in self.servers:
            await server.stop()
        self._server.close()

    def _observe(self, record: RequestRecord) -> None:
        self.records.append(record)
        self.recorded.set()

    async def of_gate(self, token: str = "t") -> httpx2.Response:
        """An answer of the gate's: the system spreads new connections by chance."""
        for _ in range(200):
            async with httpx2.AsyncClient(base_url=self.url, timeout=PATIENCE_S) as client:
                answer = await client.post(
                    "/v1/chat/completions", json=ASK, headers={"authorization": f"Bearer {token}"}
                )
            if answer.json().get("by") != "the queen":
                return answer
        raise AssertionError("no connection went to the gate")

    async def of_gate_again(self) -> httpx2.Response:
        """The same once the gate has been started again."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await self.of_gate()
                except (AssertionError, httpx2.HTTPError):
                    await asyncio.sleep(0.05)


def gates() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "rbee.gates" in one.cmdline()]


@pytest.fixture
async def colony() -> AsyncIterator[Colony]:
    made = Colony()
    await made.open()
    yield made
    await made.close()
    assert gates() == []


async def test_a_gate_answers_on_the_queens_port_and_she_is_told(colony: Colony) -> None:
    answer = await colony.of_gate()
    assert answer.json() == {"by": "a gate"}
    await asyncio.wait_for(colony.recorded.wait(), PATIENCE_S)
    record, lease = colony.records[0], colony.places.leases[0]
    assert (record.worker_id, record.status, record.request_id) == ("w0", 200, answer.headers["x-request-id"])
    assert lease.outcome is not None
    assert (lease.outcome.reached, lease.outcome.status) == (True, 200)
    assert b"authorization: Bearer t\r\n" in colony.worker.heads[0]


async def test_a_gate_guards_its_door_as_the_queen_does(colony: Colony) -> None:
    answer = await colony.of_gate(token="wrong")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert colony.places.routes == []


async def test_what_a_gate_does_not_serve_is_answered_by_the_queen(colony: Colony) -> None:
    for _ in range(20):
        async with httpx2.AsyncClient(base_url=colony.url) as client:
            assert (await client.get("/v1/info")).json() == {"by": "the queen"}


async def test_a_client_that_leaves_frees_its_place(colony: Colony) -> None:
    colony.worker.may.clear()
    asking = asyncio.create_task(colony.of_gate())
    await asyncio.wait_for(colony.worker.asked.wait(), PATIENCE_S)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.wait_for(colony.places.leases[0].over.wait(), PATIENCE_S)


async def test_a_gate_that_dies_frees_its_places_and_is_followed_by_another(
    colony: Colony, caplog: pytest.LogCaptureFixture
) -> None:
    colony.worker.may.clear()
    asking = asyncio.create_task(colony.of_gate())
    await asyncio.wait_for(colony.worker.asked.wait(), PATIENCE_S)
    (first,) = gates()
    first.send_signal(signal.SIGKILL)
    await asyncio.wait_for(colony.places.leases[0].over.wait(), PATIENCE_S)
    with pytest.raises(httpx2.HTTPError):
        await asking
    colony.worker.may.set()
    answer = await colony.of_gate_again()
    assert answer.json() == {"by": "a gate"}
    assert [one.pid for one in gates()] != [first.pid]
    assert "has ended (-9)" in caplog.text


async def test_a_gate_that_is_told_to_stop_finishes_what_is_open(colony: Colony) -> None:
    colony.worker.may.clear()
    asking = asyncio.create_task(colony.of_gate())
    await asyncio.wait_for(colony.worker.asked.wait(), PATIENCE_S)
    draining = asyncio.create_task(colony.keeper.drain(5.0))
    await asyncio.sleep(0)
    colony.worker.may.set()
    assert (await asyncio.wait_for(asking, PATIENCE_S)).json() == {"by": "a gate"}
    assert await draining == 0


async def test_a_gate_that_cannot_finish_in_time_says_so(colony: Colony) -> None:
    colony.worker.may.clear()
    asking = asyncio.create_task(colony.of_gate())
    await asyncio.wait_for(colony.worker.asked.wait(), PATIENCE_S)
    assert await colony.keeper.drain(0.05) == 1
    assert (await asyncio.wait_for(asking, PATIENCE_S)).status_code == 503


def test_it_is_of_no_use_alone() -> None:
    ended = subprocess.run([sys.executable, "-m", "rbee.gates"], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "rbee queen start --processes" in ended.stderr
