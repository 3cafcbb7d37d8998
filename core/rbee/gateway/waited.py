"""An answer that a coroutine waits for, on top of a connection that calls back."""

from __future__ import annotations

import asyncio
from typing import Self

from rbee.gateway.upstream import Connection, Headers, UpstreamError

_HIGH_WATER = 64 * 1024


class UpstreamResponse:
    """An answer whose body is still coming.

    Attributes:
        status: HTTP status.
        headers: as received; names in lower case.
    """

    def __init__(self, connection: Connection) -> None:
        self.status = 0
        self.headers: Headers = []
        self._connection = connection
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._ended = False
        self._broken: UpstreamError | None = None

    @property
    def complete(self) -> bool:
        """The whole answer has come and been read."""
        return self._ended and not self._chunks

    async def head(self) -> None:
        """Wait for the head.

        Raises:
            UpstreamError: the connection broke before.
        """
        while not self.status:
            if self._broken is not None:
                raise self._broken
            await self._wait()

    async def read(self) -> bytes | None:
        """All of the body that has come since the last call, waiting for some; None at its end.

        Raises:
            UpstreamError: the connection broke before the end.
        """
        while not self._chunks:
            if self._ended:
                return None
            if self._broken is not None:
                raise self._broken
            await self._wait()
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if not self._ended:
            self._connection.resume()
        return body

    def abort(self) -> None:
        """Close the connection unless the answer is complete: the worker takes that as a cancellation."""
        if not self._ended and self._broken is None:
            self._connection.abort()
            self.on_broken("the request was cancelled", answered=bool(self.status))

    # --- Receiver ------------------------------------------------------------------------------------------------

    def on_head(self, status: int, headers: Headers) -> None:
        """See `Receiver`."""
        self.status, self.headers = status, headers
        self._wake()

    def on_data(self, data: bytes) -> None:
        """See `Receiver`."""
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > _HIGH_WATER:
            self._connection.pause()
        self._wake()

    def on_end(self) -> None:
        """See `Receiver`."""
        self._ended = True
        self._wake()

    def on_broken(self, why: str, *, answered: bool) -> None:
        """See `Receiver`."""
        self._broken = UpstreamError(why, answered=answered)
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class Exchange:
    """One request on its way, with its answer; give it back with `Pool.done`."""

    __slots__ = ("connection", "response")

    def __init__(self, connection: Connection, response: UpstreamResponse) -> None:
        self.connection = connection
        self.response = response

    @classmethod
    async def sent(cls, connection: Connection, request: bytes) -> Self:
        """Send a request and wait for the head of its answer.

        Raises:
            UpstreamError: the connection broke before.
        """
        response = UpstreamResponse(connection)
        connection.send(request, response)
        try:
            await response.head()
        except BaseException:
            connection.abort()
            raise
        return cls(connection, response)

    def close(self) -> None:
        """Close the connection unless the answer is complete."""
        self.response.abort()
