"""One HTTP/1.1 connection to a worker: an `asyncio.Protocol` with httptools as its parser."""

from __future__ import annotations

import asyncio

import httptools

_HIGH_WATER = 64 * 1024
_MAX_HEAD = 64 * 1024


class UpstreamError(Exception):
    """The connection could not be made, or broke.

    Attributes:
        answered: some byte of the answer had come.
    """

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered


class UpstreamResponse:
    """An answer whose body is still coming.

    Attributes:
        status: HTTP status.
        headers: as received; names in lower case.
    """

    __slots__ = ("_connection", "headers", "status")

    def __init__(self, connection: Connection, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._connection = connection
        self.status = status
        self.headers = headers

    async def read(self) -> bytes | None:
        """All of the body that has come since the last call, waiting for some; None at its end.

        Raises:
            UpstreamError: the connection broke before the end.
        """
        return await self._connection.read()

    def abort(self) -> None:
        """Close the connection: the worker takes that as a cancellation."""
        self._connection.abort()


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time and can be used again after a complete answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._lost: str | None = None
        self._paused = False
        self._reset()

    def _reset(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._status: int | None = None
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._complete = False
        self._answered = False
        self._keep_alive = False

    # --- for the pool --------------------------------------------------------------------------------------------

    @property
    def reusable(self) -> bool:
        """The last answer is complete and the peer keeps the line open."""
        return self._lost is None and self._complete and self._keep_alive and not self._chunks

    @property
    def lost(self) -> bool:
        """The connection is closed."""
        return self._lost is not None

    async def send(self, request: bytes) -> UpstreamResponse:
        """Send a whole request and wait for the answer's head.

        Raises:
            UpstreamError: the connection broke before that.
        """
        if self._transport is None:
            raise UpstreamError("the connection is not open", answered=False)
        self._reset()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)
        while self._status is None:
            if self._lost is not None:
                raise UpstreamError(self._lost, answered=self._answered)
            await self._wait()
        return UpstreamResponse(self, self._status, self._headers)

    async def read(self) -> bytes | None:
        """See `UpstreamResponse.read`."""
        while not self._chunks:
            if self._complete:
                return None
            if self._lost is not None:
                raise UpstreamError(self._lost, answered=self._answered)
            await self._wait()
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return body

    def abort(self) -> None:
        """Close at once; harmless when closed."""
        if self._transport is not None:
            self._transport.abort()
        self._fail("the request was cancelled")

    # --- asyncio.Protocol ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # a stream socket has no other
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            # Bytes nobody asked for: whatever speaks there, it is not in step with us.
            self.abort()
            return
        self._answered = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the worker's answer is not HTTP ({error})")
            if self._transport is not None:
                self._transport.abort()
            return
        if self._buffered > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._status is not None and not self._complete and self._until_close():
            self._complete = True
            self._keep_alive = False
        self._fail(str(exc) if exc else "the worker closed the connection")

    # --- httptools callbacks -------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins; there is one a request."""
        if self._complete:
            raise ValueError("the worker answered twice")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the answer."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > _MAX_HEAD:
            raise ValueError("the head of the worker's answer is too large")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole; an interim one (1xx) is dropped."""
        if self._parser is None:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = []
            return
        self._status = status

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._chunks.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._status is None or self._parser is None:
            return
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()
        self._parser = None

    # --- inside --------------------------------------------------------------------------------------------------

    def _until_close(self) -> bool:
        names = {name for name, _ in self._headers}
        return b"content-length" not in names and b"transfer-encoding" not in names

    def _fail(self, why: str) -> None:
        if self._lost is None:
            self._lost = why
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
