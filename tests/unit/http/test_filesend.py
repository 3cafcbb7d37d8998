"""Files sent by the system itself, over real connections."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from rbee.http.filesend import ZERO_COPY, send_part
from rbee.http.ports import listen, port_of
from rbee.http.server import HttpServer

DATA = os.urandom(3_000_000)


class FileApp:
    """Sends a file; its address has the first and the last byte and the length that is promised."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offered: list[bool] = []
        self.ended = asyncio.Event()
        self.closed = False

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        first, last, promised = (int(part) for part in scope["path"][1:].split("-"))
        self.offered.append(ZERO_COPY in scope.get("extensions", {}))
        headers = [(b"content-length", str(promised).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            with self.path.open("rb", buffering=0) as file:
                await send_part(scope, send, file, range(first, last))
        finally:
            self.ended.set()


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FileApp]:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    made = FileApp(path)
    sock = listen("127.0.0.1", 0, "a test")
    made.url = f"http://127.0.0.1:{port_of(sock)}"
    server = HttpServer(made, sock, grace_s=0)
    await server.start()
    yield made
    await server.stop()


async def test_parts_come_as_they_are_and_the_connection_goes_on(app: FileApp) -> None:
    async with httpx2.AsyncClient(base_url=app.url, trust_env=False) as client:
        for first, last in ((0, 3_000_000), (5, 6), (1000, 2_000_000), (7, 7)):
            assert (await client.get(f"/{first}-{last}-{last - first}")).content == DATA[first:last]
    assert app.offered == [True] * 4


async def test_a_client_that_leaves_ends_the_sending(app: FileApp) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(app.url.rpartition(":")[2]))
    writer.write(b"GET /0-3000000-3000000 HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readexactly(1000)
    writer.transport.abort()
    await asyncio.wait_for(app.ended.wait(), 5)


async def test_a_file_that_became_shorter_cuts_the_line(app: FileApp) -> None:
    async with httpx2.AsyncClient(base_url=app.url, trust_env=False) as client:
        with pytest.raises(httpx2.HTTPError):
            await client.get("/0-4000000-4000000")
        # The server lives on.
        assert (await client.get("/0-10-10")).content == DATA[:10]


async def test_requests_in_one_packet_are_answered_in_their_order(app: FileApp) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(app.url.rpartition(":")[2]))
    writer.write(
        b"".join(f"GET /{first}-{first + 9}-9 HTTP/1.1\r\nhost: x\r\n\r\n".encode() for first in (0, 100, 200))
    )
    for first in (0, 100, 200):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert await reader.readexactly(9) == DATA[first : first + 9]
    writer.close()
    await writer.wait_closed()


async def test_without_the_extension_the_bytes_are_sent_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    with path.open("rb", buffering=0) as file:
        await send_part({}, send, file, range(10, 2_500_000))
    assert b"".join(message["body"] for message in sent) == DATA[10:2_500_000]
    assert [message["more_body"] for message in sent][-1] is False
