"""Errors of another program, raised as they were raised there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any, Self
from urllib.parse import unquote

import pytest
from rbee.clients import (
    Credentials,
    JobsClient,
    QueenClient,
    RegistryClient,
    Transport,
    WorkerClient,
    backoff,
    jittered,
)
from rbee.clients.jobs import raise_for
from rbee.clients.transport import error_from_body
from rbee.clients.who import QUEEN, Who
from rbee.contract.errors import (
    ContextLengthError,
    ModelNotFoundError,
    NoPlacementError,
    RbeeError,
    UnreachableError,
)
from rbee.contract.wire import InferRequest
from rbee.http.errors import render


@pytest.mark.parametrize("openai", [True, False])
@pytest.mark.parametrize(
    "error", [ModelNotFoundError("no 'm'"), NoPlacementError("none", details={"reasons": []}), ContextLengthError("x")]
)
def test_an_error_survives_the_way(error: RbeeError, openai: bool) -> None:
    answer = render(error, openai=openai)
    found = error_from_body(answer.status, answer.body, where="there")
    assert type(found) is type(error)
    assert (found.message, found.details) == (error.message, error.details)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"error": "text"}', b'{"error": {"code": 1}}', b"\xff"]
)
def test_a_body_that_says_nothing_names_who_answered(body: bytes) -> None:
    assert "the queen answered 502" in error_from_body(502, body, where="the queen").message


def test_an_unknown_code_is_still_an_error_of_ours() -> None:
    found = error_from_body(418, b'{"error": {"code": "TEAPOT", "message": "short", "details": 7}}', where="x")
    assert (type(found), found.message, found.details) == (RbeeError, "short", {})


async def test_nobody_there_is_unreachable_and_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        transport = Transport(url, Credentials(), QUEEN)
        with pytest.raises(UnreachableError, match=f"The queen at {url}"):
            await transport.call("GET", "/health", dict)
        await transport.close()


def test_tries_come_at_growing_distances_without_end() -> None:
    waits = backoff()
    assert [next(waits) for _ in range(8)] == [0, 2, 4, 8, 16, 30, 30, 30]
    assert all(7.5 <= jittered(10) <= 12.5 for _ in range(100))


class Peer:
    """Answers every request with an event stream of the pieces it is given, then waits."""

    def __init__(self, *pieces: bytes, pause_s: float = 0.0) -> None:
        self.pieces = pieces
        self.pause_s = pause_s
        self.left = asyncio.Event()
        self.open: set[asyncio.Task[None] | None] = set()

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        async with asyncio.timeout(10):
            await asyncio.gather(*self.open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        if self.pieces:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for piece in self.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(self.pause_s)
        await reader.read()
        self.left.set()
        writer.close()
        await writer.wait_closed()


async def gather(transport: Transport, **more: Any) -> list[str]:
    async with asyncio.timeout(10), transport.stream("GET", "/events", **more) as events:
        return [event.data async for event in events]


async def test_a_stream_that_falls_silent_is_unreachable() -> None:
    async with Peer(b"data: 1\n\n") as peer:
        transport = Transport(peer.url, Credentials(), QUEEN, silence_s=0.1)
        with pytest.raises(UnreachableError, match=r"The queen .* silent"):
            await gather(transport)
        await asyncio.wait_for(peer.left.wait(), 10)
        await transport.close()


async def test_a_stream_that_does_not_even_begin_is_unreachable() -> None:
    async with Peer() as peer:
        transport = Transport(peer.url, Credentials(), QUEEN)
        with pytest.raises(UnreachableError, match="nothing came"):
            await gather(transport, answer_s=0.1)
        await transport.close()


async def test_comments_keep_a_stream_alive_and_are_no_events() -> None:
    async with Peer(*[b": ping\n\n"] * 8, b"data: 1\n\n", pause_s=0.05) as peer:
        transport = Transport(peer.url, Credentials(), QUEEN, silence_s=0.3)
        async with asyncio.timeout(10), transport.stream("GET", "/events") as events:
            assert (await anext(events)).data == "1"
        await transport.close()


@pytest.mark.parametrize("data", [b"no json", b"7", b"[]"])
async def test_an_odd_event_is_an_error_of_ours_that_names_who_sent_it(data: bytes) -> None:
    async with Peer(b"data: " + data + b"\n\n") as peer:
        transport = Transport(peer.url, Credentials(), Who("The peer"))
        answer = WorkerClient(transport).infer(InferRequest(prompt="x"))
        for events in (JobsClient(transport).events("j"), RegistryClient(transport).events(), answer):
            with pytest.raises(UnreachableError, match=f"The peer at {peer.url}"):
                await anext(events)
        await transport.close()


async def test_who_leaves_a_stream_in_the_middle_closes_it() -> None:
    async with Peer(b'data: {"type": "error", "job_id": "j", "emitted_at_ms": 1, "message": "no"}\n\n') as peer:
        transport = Transport(peer.url, Credentials(), Who("The peer"))
        async with contextlib.aclosing(JobsClient(transport).events("j")) as events:
            with pytest.raises(RbeeError, match="no"):
                raise_for(await anext(events))
        await asyncio.wait_for(peer.left.wait(), 10)
        await transport.close()


class Trickle:
    """Answers with a head, and then with a byte now and then for as long as somebody reads."""

    def __init__(self, piece: bytes, pause_s: float) -> None:
        self.piece = piece
        self.pause_s = pause_s
        self.left = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        async with asyncio.timeout(10):
            await self.left.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(self.piece)
                await writer.drain()
                await asyncio.sleep(self.pause_s)
        writer.close()
        self.left.set()


async def test_an_answer_that_never_ends_is_given_up_in_time() -> None:
    async with Trickle(b" ", 0.02) as peer:
        transport = Transport(peer.url, Credentials(), Who("The peer"), timeout_s=0.2)
        with pytest.raises(UnreachableError, match=r"The peer .* no whole answer came within 0\.2 s"):
            async with asyncio.timeout(10):
                await transport.call("GET", "/health", dict)
        await transport.close()


async def test_an_answer_too_large_to_be_one_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rbee.clients.transport.LARGEST_ANSWER", 100_000)
    async with Trickle(b" " * 10_000, 0) as peer:
        transport = Transport(peer.url, Credentials(), Who("The peer"))
        with pytest.raises(UnreachableError, match=r"The peer at .* more than 100000 bytes"):
            async with asyncio.timeout(10):
                await transport.call("GET", "/health", dict)
        await transport.close()


@pytest.mark.parametrize("name", ["a/../../v1/shutdown", "..", "a?b=c", "a#b", "ä b"])
async def test_a_name_in_a_path_leads_to_no_other_route(name: str) -> None:
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().split()[1])
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        transport = Transport(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", Credentials(), QUEEN)
        await QueenClient(transport).remove_worker(name)
        await transport.close()
    prefix, _, last = asked[0].rpartition("/")
    assert (prefix, unquote(last)) == ("/v1/workers", name)
