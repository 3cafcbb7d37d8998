"""A server with a front door on a loopback port, which tells what it was asked, and raw connections to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from rbee.http.direct import Admitted, DirectCycle
from rbee.http.front import Front
from rbee.http.guard import Guard
from rbee.http.plane import Plane
from rbee.http.ports import listen, port_of
from rbee.http.server import HttpServer

PATIENCE_S = 10.0
TOKEN = "t" * 32
MOST = 2000


class Answer:
    """One answer as it was read from a connection."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def told(self) -> dict[str, Any]:
        return json.loads(self.body)


class Talk:
    """A connection without a client library."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Answer:
        async with asyncio.timeout(PATIENCE_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = [(line.partition(": ")[0], line.partition(": ")[2]) for line in head[1:-2]]
            length = next((int(value) for name, value in headers if name == "content-length"), 0)
            return Answer(int(head[0].split(" ")[1]), headers, await self._reader.readexactly(length))

    async def rest(self) -> bytes:
        """What comes until the server closes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.read()


class Unhurt:
    """A request of the direct plane that was answered at once."""

    def gone(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Site:
    """Tells in each answer what it was asked, by whichever way the request came."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.held = asyncio.Event()
        """Paths that end in ``held`` are answered once it is set."""
        self.guard = Guard(token=TOKEN, host="127.0.0.1")
        front = Front(self._app, self.guard, direct=Plane(self.guard, self._serve, MOST))
        sock = listen("127.0.0.1", 0, "a test")
        self.port = port_of(sock)
        self.server = HttpServer(front, sock, grace_s=1, direct=front.direct)

    def _note(self, way: str, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
        names = [name.decode() for name, _ in headers]
        self.asked.append({"way": way, "method": method, "path": path, "names": names, "body": body.decode("latin-1")})
        return json.dumps(self.asked[-1]).encode()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["path"].endswith("held"):
            await self.held.wait()
        told = self._note("asgi", scope["method"], scope["path"], scope["headers"], body)
        headers = [(b"content-length", b"%d" % len(told)), (b"x-request-id", scope["state"]["request_id"].encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": told})

    def _serve(self, admitted: Admitted, body: bytes, answer: DirectCycle) -> Unhurt:
        told = self._note("direct", "POST", admitted.path, admitted.headers, body)
        answer.whole(200, [(b"x-request-id", admitted.request_id.encode())], told)
        return Unhurt()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def serving() -> AsyncIterator[Site]:
    """One server for many tests: to stop one takes longer than most of them."""
    made = Site()
    await made.server.start()
    yield made
    await made.server.stop()


@pytest.fixture
def site(serving: Site) -> Site:
    serving.asked.clear()
    serving.held.clear()
    return serving


@pytest_asyncio.fixture(loop_scope="module")
async def connect(site: Site) -> AsyncIterator[Callable[[], Any]]:
    writers = []

    async def connected() -> Talk:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writers.append(writer)
        return Talk(reader, writer)

    yield connected
    site.held.set()
    for writer in writers:
        writer.close()
    for writer in writers:
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def request(
    path: bytes, headers: bytes = b"", body: bytes = b"", *, method: bytes = b"POST", version: bytes = b"HTTP/1.1"
) -> bytes:
    """A request with a good Host and token, and whatever else is said."""
    known = b"Host: localhost\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n"
    return method + b" " + path + b" " + version + b"\r\n" + known + headers + b"\r\n" + body
