"""What a gate passes on to the queen, between real servers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from rbee.gates.passing import ToQueen, strangers
from rbee.http.ports import listen, port_of
from rbee.http.server import HttpServer

PATIENCE_S = 10


class Queen:
    """Tells what it was asked; streams without end on ``/stream``."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send)
            return
        if scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"one\n", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        told = json.dumps(
            {
                "method": scope["method"],
                "path": scope["raw_path"].decode(),
                "query": scope["query_string"].decode(),
                "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
                "client": scope["client"],
                "body": body.decode(),
            }
        ).encode()
        headers = [(b"content-type", b"application/json"), (b"x-of-hers", b"1"), (b"x-of-hers", b"2")]
        await send({"type": "http.response.start", "status": 418, "headers": headers})
        await send({"type": "http.response.body", "body": told})


async def live(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


class Gate:
    def __init__(self, port: int) -> None:
        self.to_queen = ToQueen(port)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send)
        else:
            await self.to_queen(scope, receive, send)


@contextlib.asynccontextmanager
async def served(app: Any) -> AsyncIterator[int]:
    sock = listen("127.0.0.1", 0, "a test")
    server = HttpServer(app, sock)
    await server.start()
    try:
        yield port_of(sock)
    finally:
        await server.stop()


@pytest.fixture
def queen() -> Queen:
    return Queen()


@pytest.fixture
async def client(queen: Queen) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(strangers(queen)) as port:
        gate = Gate(port)
        async with served(gate) as outer, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{outer}") as made:
            yield made
        await gate.to_queen.close()


async def test_a_request_reaches_the_queen_as_the_client_has_sent_it(client: httpx2.AsyncClient) -> None:
    headers = {"authorization": "Bearer t", "host": "box.lan:7833", "x-request-id": "mine", "connection": "close"}
    answer = await client.put("/v1/aliases/a%2Fb?x=1&y=%20", content=b'{"model": "m"}', headers=headers)
    told = answer.json()
    assert (told["method"], told["path"], told["query"]) == ("PUT", "/v1/aliases/a%2Fb", "x=1&y=%20")
    assert told["body"] == '{"model": "m"}'
    sent = dict(told["headers"])
    assert {"authorization": "Bearer t", "host": "box.lan:7833", "x-request-id": "mine"}.items() <= sent.items()
    assert [name for name, _ in told["headers"]].count("host") == 1
    assert "connection" not in sent


async def test_nothing_is_added_to_what_the_client_sends(client: httpx2.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readuntil(b"}")
    writer.close()
    await writer.wait_closed()
    assert b" 418 " in head.splitlines()[0]
    assert b'"headers": [["host", "a"]]' in body


async def test_the_queens_answer_comes_back_as_she_gave_it(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/health")
    assert answer.status_code == 418
    assert answer.headers.get_list("x-of-hers") == ["1", "2"]


async def test_a_body_in_chunks_comes_whole(client: httpx2.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"a" * 70_000, b"b"):
            yield part

    answer = await client.post("/v1/jobs", content=parts())
    assert answer.json()["body"] == "a" * 70_000 + "b"


async def test_nobody_is_on_the_queens_machine_because_a_gate_is(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/health")).json()["client"] is None


async def test_a_stream_comes_as_it_is_told_and_ends_at_the_queen_when_its_reader_leaves(
    client: httpx2.AsyncClient, queen: Queen
) -> None:
    async with client.stream("GET", "/stream") as answer:
        assert await anext(answer.aiter_bytes()) == b"one\n"
    await asyncio.wait_for(queen.left.wait(), PATIENCE_S)


async def test_a_queen_that_does_not_answer_is_an_error_with_its_next_step() -> None:
    sock = listen("127.0.0.1", 0, "a test")
    port = port_of(sock)
    sock.close()
    gate = Gate(port)
    async with served(gate) as outer, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{outer}") as client:
        control = await client.get("/v1/info")
        openai = await client.get("/v1/models")
    await gate.to_queen.close()
    assert (control.status_code, control.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert "ask again" in openai.json()["error"]["message"]
    assert openai.json()["error"]["type"] == "service_unavailable_error"
    assert control.headers["retry-after"] == "5"
