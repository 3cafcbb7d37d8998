"""uvicorn's HTTP protocol with bounds on what comes before a request is known, its size and its time; with files, and
with a way below ASGI.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rbee.http.direct import DirectCycle, DirectRoutes
from rbee.http.filesend import with_files

HEAD_BYTES = 64 * 1024
HEAD_S = 30.0
_WRITE_HIGH = 16 * 1024
"""Bytes that wait for a slow client before its worker is read no further."""
_LOOPBACK = ("127.", "::1", "::ffff:127.")


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request line and headers are too large, or do not come.

    Args:
        args: as uvicorn gives them.
        direct: serves some routes below ASGI; None where a program has none.
        kwargs: as uvicorn gives them.
    """

    def __init__(self, *args: Any, direct: DirectRoutes | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = with_files(self.app)
        self._direct = direct
        self.active: DirectCycle | None = None
        """The request below ASGI that is being answered: of several in a row, `cycle` is the last that came."""
        self._local = False
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """A connection: its first request's head is awaited."""
        super().connection_made(transport)
        self._local = self.client is not None and self.client[0].startswith(_LOOPBACK)
        if self._direct is not None:
            transport.set_write_buffer_limits(high=_WRITE_HIGH)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        for timer in (self._head_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._idle_timer = None
        cycle: Any = self.cycle
        if isinstance(cycle, DirectCycle):
            cycle.gone()
            self.cycle = None  # type: ignore[assignment]  # as before its first request
        if self.active is not None:
            self.active.gone()
            self.active = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes: of a head that is not whole yet, at most so many."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            if self._head_bytes > HEAD_BYTES:
                self.send_400_response("The head of the request is too large.")
            elif self._head_timer is None:
                self._await_head()
        cycle: Any = self.cycle
        if type(cycle) is DirectCycle and cycle.more_body:
            cycle.await_body()

    def on_message_begin(self) -> None:
        """A request begins; what ASGI needs to know of it is put together once it is known to go that way."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._in_head = True

    def on_headers_complete(self) -> None:
        """The head is whole; one that came in a single piece is measured here."""
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._head_bytes > HEAD_BYTES:
            # Bodies and earlier requests have been counted, too.
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > HEAD_BYTES:
                raise ValueError("the head of the request is too large")
        self._head_bytes = 0
        path = None if self._direct is None else self._direct.takes(self.parser.get_method(), self.url)
        if path is not None:
            self._begin_direct(path)
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        cycle: Any = self.cycle
        if type(cycle) is DirectCycle:
            if not cycle.response_complete:
                cycle.took(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        cycle: Any = self.cycle
        if type(cycle) is DirectCycle:
            cycle.complete()
        else:
            super().on_message_complete()

    def pause_writing(self) -> None:
        """The client takes no more for now."""
        super().pause_writing()
        if self.active is not None:
            self.active.pause()

    def resume_writing(self) -> None:
        """The client takes more."""
        super().resume_writing()
        if self.active is not None:
            self.active.resume()

    def _begin_direct(self, path: str) -> None:
        assert self._direct is not None  # noqa: S101  # it has taken the request
        before: Any = self.cycle
        one_point_one = self.parser.get_http_version() == "1.1"
        cycle = DirectCycle(
            self,
            self._direct,
            path,
            chunked=one_point_one,
            keep_alive=one_point_one and self.parser.should_keep_alive(),
            expects_continue=self.expect_100_continue,
        )
        cycle.admit(self.headers, local=self._local)
        self.cycle = cycle  # type: ignore[assignment]  # it stands for one
        if before is None or before.response_complete:
            cycle.start()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))  # type: ignore[arg-type]  # likewise

    def _start_asgi_task(self, cycle: Any, app: Callable[..., Any]) -> None:
        if isinstance(cycle, DirectCycle):
            cycle.start()
        else:
            super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """An answer is complete: the next request's turn, or none comes for a while."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        # One timer for many requests: to make and cancel one for each costs more than the rest of this.
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._maybe_idle)

    def _maybe_idle(self) -> None:
        self._idle_timer = None
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0 or (cycle is not None and not cycle.response_complete):
            self._idle_timer = self.loop.call_later(max(left, 1.0), self._maybe_idle)
        elif not self._in_head:
            self.transport.close()

    def _await_head(self) -> None:
        self._in_head = True
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._in_head and not self.transport.is_closing():
            self.transport.close()
