"""One HTTP/1.1 connection to a worker: an asyncio protocol with httptools as its parser, without a task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from rbee.eventloop import GatheredTransport, Writes

log = logging.getLogger(__name__)

_MAX_HEAD = 64 * 1024
READ_BYTES = 16 * 1024
"""Read at a time: what a slow client makes wait is at most about this much."""

Headers = list[tuple[bytes, bytes]]


class UpstreamError(Exception):
    """The connection could not be made, or broke.

    Attributes:
        answered: some byte of the answer had come.
    """

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered


class Receiver(Protocol):
    """Told of one answer as it comes; after `on_end` or `on_broken` comes nothing more."""

    def on_head(self, status: int, headers: Headers) -> None:
        """The head; names in lower case."""

    def on_data(self, data: bytes) -> None:
        """All of the body that came at once."""

    def on_end(self) -> None:
        """The answer is complete; its connection is free for others already."""

    def on_broken(self, why: str, *, answered: bool) -> None:
        """The connection broke; `answered` when some byte of the answer had come."""


class Connection(asyncio.BufferedProtocol):
    """A connection that carries one request at a time and can be used again after a complete answer.

    Args:
        buffer: read into; shared by all connections of a loop, since each read is taken in before the next.
        free: given the connection when it can be used again.
        writes: of all connections; what they send leaves together.
    """

    def __init__(self, buffer: memoryview, free: Callable[[Connection], None], writes: Writes) -> None:
        self._buffer = buffer
        self._writes = writes
        self._free = free
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._receiver: Receiver | None = None
        self._paused = False
        self.lost: str | None = None
        """Why the connection is closed; None while it is open."""
        self.fresh = True
        """It has carried no request before the present one."""
        self._reset()

    def _reset(self) -> None:
        self._headers: Headers = []
        self._head_bytes = 0
        self._status: int | None = None
        self._told = False
        self._body: list[bytes] = []
        self._complete = False
        self._answered = False
        self._keep_alive = False

    # --- for whoever sends ---------------------------------------------------------------------------------------

    def send(self, request: bytes, receiver: Receiver) -> None:
        """Send a whole request; the receiver is told of the answer, or that the connection is lost."""
        self._reset()
        if self._transport is None or self.lost is not None:
            receiver.on_broken(self.lost or "the connection is not open", answered=False)
            return
        self._receiver = receiver
        self._transport.write(request)

    def abort(self) -> None:
        """Close at once and tell nobody; harmless when closed.  The worker takes that as a cancellation."""
        self._receiver = None
        self.lost = self.lost or "the request was cancelled"
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Read no more until `resume`: the client is slower than the worker."""
        if not self._paused and self._transport is not None and self.lost is None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused and self._transport is not None:
            self._paused = False
            if self.lost is None:
                self._transport.resume_reading()

    # --- asyncio.BufferedProtocol --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream socket has no other; uvloop's are not of asyncio's class.
        self._transport = GatheredTransport(cast("asyncio.Transport", transport), self._writes)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        receiver = self._receiver
        if receiver is None:
            # Bytes nobody asked for: whatever speaks there, it is not in step with us.
            self.abort()
            return
        self._answered = True
        wrong = None
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except httptools.HttpParserError as error:
            wrong = f"the worker's answer is not HTTP ({error})"
        except httptools.HttpParserUpgrade:
            wrong = "the worker's answer is not HTTP (an upgrade)"
        if self._status is not None:
            try:
                self._deliver(receiver, self._status, usable=wrong is None)
            except Exception:
                # It must end, whatever went wrong: somebody waits, and a slot is taken.
                log.exception("an answer of a worker could not be passed on")
                self.abort()
                receiver.on_broken("it could not be passed on", answered=True)
                return
        if wrong is not None and self.lost is None:
            self._break(wrong)
            if self._transport is not None:
                self._transport.abort()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        receiver = self._receiver
        if receiver is not None and self._status is not None and self._until_close():
            self.lost = "the worker closed the connection"
            self._receiver = None
            receiver.on_end()
            return
        self._break(str(exc) if exc else "the worker closed the connection")

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
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = []
            return
        self._status = status

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._status is not None:
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()

    # --- inside --------------------------------------------------------------------------------------------------

    def _deliver(self, receiver: Receiver, status: int, *, usable: bool) -> None:
        """Tell what has come; the receiver may abort at any word."""
        complete = self._complete
        if complete:
            # Before the last word: the receiver may want the next connection at once.
            self._receiver = None
        if not self._told:
            self._told = True
            receiver.on_head(status, self._headers)
        if self._body and (complete or self._receiver is receiver):
            body = self._body
            data = body[0] if len(body) == 1 else b"".join(body)
            self._body = []
            receiver.on_data(data)
        if complete:
            self.resume()
            if usable and self._keep_alive and self.lost is None:
                self.fresh = False
                self._free(self)
            else:
                self.abort()
            receiver.on_end()

    def _until_close(self) -> bool:
        names = {name for name, _ in self._headers}
        return b"content-length" not in names and b"transfer-encoding" not in names

    def _break(self, why: str) -> None:
        if self.lost is None:
            self.lost = why
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.on_broken(self.lost, answered=self._answered)
