"""The floor under `gateway.py`'s figures: a relay of bare protocols which does nothing that it could leave out.

    python tests/bench/gateway_floor.py PORT WORKER_PORT

It parses both sides with httptools, reads `model` and `stream`, keeps connections to the one worker, and passes its
bytes on.  No authentication, no choice of a worker, no accounting, no limits, no retries, and no heed of slow readers:
it is what Python costs before a gateway begins, and is not one.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import httptools
import msgspec

LOOPBACK = "127.0.0.1"


class Routing(msgspec.Struct):
    """What a gateway has to know of a request."""

    model: str
    stream: bool = False


class Worker(asyncio.Protocol):
    """One connection to the worker.

    Args:
        pool: where it waits for the next request.
    """

    def __init__(self, pool: list[Worker]) -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._client: Client | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream socket has no other; uvloop's are not of asyncio's class.
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, client: Client, request: bytes) -> None:
        """Send a request whose answer goes to that client."""
        self._client = client
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._client is not None:
            self._client.transport.write(data)
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """An answer is whole."""
        if self._client is not None:
            self._client.worker = None
            self._client = None
        self._parser = httptools.HttpResponseParser(self)
        self._pool.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._pool:
            self._pool.remove(self)
        if self._client is not None:
            self._client.transport.close()


class Client(asyncio.Protocol):
    """One connection of a client.

    Args:
        pool: connections to the worker that wait.
        port: of the worker.
    """

    def __init__(self, pool: list[Worker], port: int) -> None:
        self._pool = pool
        self._port = port
        self._parser = httptools.HttpRequestParser(self)
        self._decoder = msgspec.json.Decoder(Routing)
        self._path = b""
        self._body: list[bytes] = []
        self._connecting: asyncio.Task[None] | None = None
        self.worker: Worker | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream socket has no other; uvloop's are not of asyncio's class.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Where to."""
        self._path = url

    def on_body(self, body: bytes) -> None:
        """A piece of what is asked."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        body = b"".join(self._body)
        self._body.clear()
        self._decoder.decode(body)
        head = b"POST %b HTTP/1.1\r\nhost: worker\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        request = head % (self._path, len(body)) + body
        if self._pool:
            self.worker = self._pool.pop()
            self.worker.ask(self, request)
        else:
            self._connecting = asyncio.get_running_loop().create_task(self._connect(request))

    async def _connect(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, self.worker = await loop.create_connection(lambda: Worker(self._pool), LOOPBACK, self._port)
        self.worker.ask(self, request)

    def connection_lost(self, error: Exception | None) -> None:
        if self.worker is not None:
            self.worker.transport.close()


async def serve(port: int, worker_port: int) -> None:
    """Relay until killed."""
    pool: list[Worker] = []
    server = await asyncio.get_running_loop().create_server(lambda: Client(pool, worker_port), LOOPBACK, port)
    await server.serve_forever()


def main() -> None:
    """Relay with the quickest event loop there is."""
    port, worker_port = (int(argument) for argument in sys.argv[1:3])
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(port, worker_port))
    else:
        uvloop.run(serve(port, worker_port))


if __name__ == "__main__":
    main()
