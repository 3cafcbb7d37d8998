"""Bounds on what comes before a request is known, on real connections."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rbee.http import front, protocol
from rbee.http.front import Front
from rbee.http.guard import Guard
from rbee.http.ports import listen, port_of
from rbee.http.server import HttpServer

PATIENCE_S = 10.0
TOKEN = "t" * 32


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def swallow(scope: Any, receive: Any, send: Any, *, path: str, request_id: str) -> None:
    while (await receive()).get("more_body"):
        pass
    trusted = b"known" if scope["state"]["trusted"] else b"stranger"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": trusted})


@pytest.fixture
async def talk():
    """Sends bytes to a server of its own and gives what comes back until the server closes."""
    sock = listen("127.0.0.1", 0, "a test")
    server = HttpServer(Front(app, Guard(token=TOKEN, host="127.0.0.1"), data_plane=swallow), sock, grace_s=1)
    port = port_of(sock)
    await server.start()

    async def said(data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(data)
            async with asyncio.timeout(PATIENCE_S):
                return await reader.read()
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    yield said
    await server.stop()


async def test_a_small_head_is_served(talk) -> None:
    answer = await talk(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"ok")


@pytest.mark.parametrize("cut", [None, 66_010], ids=["whole", "without an end"])
async def test_a_head_that_is_too_large_is_refused(talk, cut: int | None) -> None:
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Big: " + b"a" * 66_000 + b"\r\n\r\n"
    assert (await talk(head[:cut])).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("begin", [b"", b"GET /health HTT", b"GET /health HTTP/1.1\r\nHost: localhost\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(talk, monkeypatch, begin: bytes) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.1)
    assert await talk(begin) == b""


async def test_a_second_request_has_its_own_time(talk, monkeypatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.1)
    answer = await talk(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /heal")
    assert answer.endswith(b"ok")


async def test_a_body_that_stops_coming_is_told(talk, monkeypatch) -> None:
    monkeypatch.setattr(front, "_BODY_S", 0.1)
    post = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 9\r\n\r\nx"
    assert b"408" in (await talk(post)).split(b"\r\n")[0]


@pytest.mark.parametrize(("token", "who"), [(None, b"stranger"), ("wrong" * 9, b"stranger"), (TOKEN, b"known")])
async def test_the_data_plane_learns_whether_the_caller_has_the_token(talk, token: str | None, who: bytes) -> None:
    extra = b"" if token is None else f"Authorization: Bearer {token}\r\n".encode()
    post = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + extra
    assert (await talk(post + b"Content-Length: 0\r\n\r\n")).split(b"\r\n\r\n")[1].find(who) >= 0
