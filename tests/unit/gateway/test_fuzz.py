"""The relay behind its door, between clients and workers whose bytes come in any pieces and stop at any place."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable

import pytest
from rbee.contract.wire import RequestRecord
from rbee.gateway import Asked, Dispatcher, Lease, Outcome, Pool, Relay, Route, Target
from rbee.gateway.passage import Passage
from rbee.http.direct import Admitted, DirectCycle
from rbee.http.front import Front
from rbee.http.guard import Guard
from rbee.http.plane import Plane
from rbee.http.ports import listen, port_of
from rbee.http.server import HttpServer

PATIENCE_S = 10.0
BODY = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"\xc3\xa9"}]}'
ASKED = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
LEAVERS = 150


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


EVENTS = [
    b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"Once \xc3\xa9"},"finish_reason":null}]}\n\n',
    b': ping\n\ndata: {"id":"1","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]
STREAMED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    + chunk(EVENTS[0], b";x=y")
    + chunk(EVENTS[1] + EVENTS[2])
    + b"0\r\nX-Trailer: t\r\n\r\n"
)
WHOLE_BODY = b'{"choices":[{"message":{"content":"Once"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(WHOLE_BODY),
    WHOLE_BODY,
)


class Place(Lease):
    def __init__(self, target: Target, places: Places) -> None:
        self.worker_id = "w"
        self.target = target
        self._places = places

    def finish(self, outcome: Outcome) -> None:
        self._places.taken.remove(self)


class Places(Dispatcher):
    """One worker with any number of slots."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.taken: list[Place] = []

    def try_acquire(self, route: Route) -> Lease | None:
        self.taken.append(Place(self.target, self))
        return self.taken[-1]

    async def acquire(self, route: Route) -> Lease:
        raise AssertionError("there is always a place")


class Gateway:
    """A relay behind a served door."""

    def __init__(self, target: Target, pool: Pool) -> None:
        self.places = Places(target)
        self.records: list[RequestRecord] = []
        self.relay = Relay(self.places, pool, self.records.append)
        guard = Guard(token="t" * 32, host="127.0.0.1")
        plane = Plane(guard, self._serve, 100_000)
        sock = listen("127.0.0.1", 0, "a test")
        self.port = port_of(sock)
        self.server = HttpServer(Front(nothing_else, guard, direct=plane), sock, grace_s=0, direct=plane)

    def _serve(self, admitted: Admitted, body: bytes, answer: DirectCycle) -> Passage:
        asked = Asked(path=admitted.path, request_id=admitted.request_id, headers=admitted.headers, body=body)
        return self.relay.serve(asked, answer)


async def nothing_else(scope, receive, send) -> None:
    for kind in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{kind}.complete"})


@pytest.fixture
async def gateway(serve, pool: Pool) -> AsyncIterator[Callable]:
    made: list[Gateway] = []

    async def start(handle) -> Gateway:
        made.append(Gateway(await serve(handle), pool))
        await made[-1].server.start()
        return made[-1]

    yield start
    for one in made:
        one.relay.close()
        await one.server.stop()


async def heard(reader: asyncio.StreamReader) -> bytes:
    """One request as a worker gets it."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    return await reader.readexactly(length)


async def body_of(reader: asyncio.StreamReader) -> bytes:
    """The body of one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200 ")
    if b"transfer-encoding: chunked" not in head:
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
        return await reader.readexactly(length)
    body = b""
    while size := int((await reader.readline()).partition(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    while await reader.readline() != b"\r\n":
        pass
    return body


async def turns(count: int = 4) -> None:
    """What was written is read at the other end, in this loop."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("answer", "meant"), [(STREAMED, b"".join(EVENTS)), (WHOLE, WHOLE_BODY)], ids=["stream", "whole"]
)
async def test_an_answer_may_be_cut_at_every_byte(gateway, answer: bytes, meant: bytes) -> None:
    cuts = iter(range(1, len(answer)))

    async def worker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            assert await heard(reader) == BODY
            cut = next(cuts)
            writer.write(answer[:cut])
            await turns()
            writer.write(answer[cut:])

    door = await gateway(worker)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    async with asyncio.timeout(PATIENCE_S):
        for cut in range(1, len(answer)):
            writer.write(ASKED)
            assert await body_of(reader) == meant, cut
    writer.close()
    assert door.places.taken == []
    assert {record.status for record in door.records} == {200}


async def test_a_request_may_be_cut_at_every_byte(gateway) -> None:
    async def worker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            assert await heard(reader) == BODY
            writer.write(WHOLE)

    door = await gateway(worker)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    async with asyncio.timeout(PATIENCE_S):
        for cut in range(1, len(ASKED)):
            writer.write(ASKED[:cut])
            await turns()
            writer.write(ASKED[cut:])
            assert await body_of(reader) == WHOLE_BODY, cut
    writer.close()
    assert door.places.taken == []


async def test_a_client_and_a_worker_that_are_slow_understand_each_other(gateway) -> None:
    async def worker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await heard(reader) == BODY
        for at in range(len(STREAMED)):
            writer.write(STREAMED[at : at + 1])
            await turns(2)
        await reader.read()

    door = await gateway(worker)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    async with asyncio.timeout(PATIENCE_S):
        for at in range(len(ASKED)):
            writer.write(ASKED[at : at + 1])
            await turns(2)
        assert await body_of(reader) == b"".join(EVENTS)
    writer.close()


@pytest.mark.parametrize("seed", range(3))
async def test_a_client_that_leaves_anywhere_gives_its_place_back_within_a_second(gateway, seed: int) -> None:
    chance = random.Random(seed)
    left = 0

    async def worker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await heard(reader)
            writer.write(STREAMED[: chance.randrange(len(STREAMED))])
            # It goes on for ever, silent or not.
            silent = chance.random() < 0.5
            if silent:
                await reader.read()
            while not silent:
                writer.write(chunk(EVENTS[0]))
                await writer.drain()
                await asyncio.sleep(0.01)
        left += 1

    door = await gateway(worker)

    async def leave() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(ASKED[: chance.choice([len(ASKED), chance.randrange(len(ASKED))])])
        await turns(chance.randrange(40))
        if chance.random() < 0.5:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(chance.randrange(1, 300)), 0.05)
        if chance.random() < 0.5:
            writer.transport.abort()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*[leave() for _ in range(LEAVERS)])
        async with asyncio.timeout(1.0):
            while door.places.taken or door.relay.open_requests:
                await asyncio.sleep(0.005)
    assert len(door.records) > LEAVERS // 3
    assert {record.status for record in door.records} <= {200, 499, 500}


@pytest.mark.parametrize("seed", range(3))
async def test_an_answer_that_is_no_http_ends_the_request_and_nothing_else(gateway, seed: int) -> None:
    chance = random.Random(seed)

    async def worker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        answer = bytearray(STREAMED)
        for _ in range(chance.randrange(1, 4)):
            answer[chance.randrange(len(answer))] = chance.randrange(256)
        writer.write(answer)
        await writer.drain()

    door = await gateway(worker)
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(ASKED.replace(b"Host", b"Connection: close\r\nHost", 1))
            told = await reader.read()
            assert told.startswith(b"HTTP/1.1 "), told
            assert b"Traceback" not in told
            writer.close()
    assert door.places.taken == []
    assert door.relay.open_requests == 0
