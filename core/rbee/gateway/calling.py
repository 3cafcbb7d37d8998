"""Calls from inside the process, on the same way as those from the network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from rbee.contract.errors import RbeeError
from rbee.gateway.asked import Asked
from rbee.gateway.calls import Answer, Call, Calls
from rbee.gateway.passage import Passage
from rbee.gateway.relay import Relay

_HIGH_WATER = 64 * 1024


class RelayCalls(Calls):
    """Calls through a relay.

    Args:
        relay: whose.
        status_of: HTTP status of an error, for the record of a request that failed.
    """

    def __init__(self, relay: Relay, status_of: Callable[[RbeeError], int]) -> None:
        self._relay = relay
        self._status_of = status_of

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncIterator[Answer]:
        """See `Calls.open`."""
        inbox = _Inbox(self._status_of)
        asked = Asked(
            path=call.path,
            request_id=call.request_id,
            headers=list(call.headers),
            body=call.body,
            trusted=call.trusted,
            local=call.local,
            door=call.door,
        )
        inbox.passage = self._relay.serve(asked, inbox)
        try:
            await inbox.begun()
            yield inbox
        finally:
            inbox.passage.gone()


class _Inbox(Answer):
    """A sink whose content a coroutine reads."""

    def __init__(self, status_of: Callable[[RbeeError], int]) -> None:
        self._status_of = status_of
        self.passage: Passage | None = None
        self.status = 0
        self.headers = ()
        self.stream = False
        self._parts: list[bytes] = []
        self._buffered = 0
        self._paused = False
        self._ended = False
        self._error: RbeeError | None = None
        self._news = asyncio.Event()

    async def begun(self) -> None:
        """Return once there is a head.

        Raises:
            RbeeError: there will be none.
        """
        while not self.status:
            if self._error is not None:
                raise self._error
            self._news.clear()
            await self._news.wait()

    async def read(self) -> bytes | None:
        """See `Answer.read`."""
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._buffered = 0
        if self._paused and self.passage is not None:
            self._paused = False
            self.passage.resume()
        return body

    # --- Sink ----------------------------------------------------------------------------------------------------

    def whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """See `Sink`."""
        self.begin(status, headers, stream=False)
        self._parts.append(body)
        self.end([])

    def begin(self, status: int, headers: list[tuple[bytes, bytes]], *, stream: bool) -> None:
        """See `Sink`."""
        self.status, self.headers, self.stream = status, tuple(headers), stream
        self._news.set()

    def data(self, data: bytes) -> None:
        """See `Sink`."""
        self._parts.append(data)
        self._buffered += len(data)
        if self._buffered > _HIGH_WATER and not self._paused and self.passage is not None:
            self._paused = True
            self.passage.pause()
        self._news.set()

    def end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        """See `Sink`."""
        self._ended = True
        self._news.set()

    def fail(self, error: RbeeError) -> int:
        """See `Sink`."""
        self._error = error
        self._news.set()
        return self.status or self._status_of(error)
