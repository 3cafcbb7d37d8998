"""uvicorn's HTTP protocol with bounds on what comes before a request is known, its size and its time; with files, and
with a way below ASGI.  What could be read in two ways is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rbee.contract.errors import InvalidRequestError, PermissionDeniedError, RbeeError
from rbee.eventloop import GatheredTransport, Writes
from rbee.http.direct import DirectCycle, DirectRoutes
from rbee.http.filesend import with_files
from rbee.http.head_checks import head_fault
from rbee.http.known import KnownHead, may_be_known
from rbee.http.strict import StrictProtocol
from rbee.http.upgrades import BodyParser, body_framing
from rbee.trust.names import Peer

HEAD_BYTES = 64 * 1024
HEAD_S = 30.0
_WRITE_HIGH = 16 * 1024
"""Bytes that wait for a slow client before its worker is read no further."""
Judge = Callable[[bytes], Peer | None]
Holds = Callable[[Peer], bool]
_LOOPBACK = ("127.", "::1", "::ffff:127.")
_FRAMING = 16
"""Bytes around each byte of a body: five where every byte is a chunk of its own, without extensions."""
_MOST_WAITING = 32
"""Requests that may be sent before the first of them is answered."""


class BoundedProtocol(StrictProtocol):
    """Closes connections whose request line and headers are too large, or do not come.

    Args:
        args: as uvicorn gives them.
        direct: serves some routes below ASGI; None where a program has none.
        writes: of all connections; what they send leaves together.  None where each sends for itself.
        judge: says who the holder of a certificate is, in DER; None where nobody shows any.
        holds: says whether that certificate was not revoked since.
        kwargs: as uvicorn gives them.
    """

    def __init__(
        self,
        *args: Any,
        direct: DirectRoutes | None = None,
        writes: Writes | None = None,
        judge: Judge | None = None,
        holds: Holds | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, direct=direct, **kwargs)
        self._writes = writes
        if writes is None:
            # The event loop sends files by transports of its own alone.
            self.app = with_files(self.app)
        self._local = False
        self._judge = judge
        self._holds = holds
        self._peer: Peer | None = None
        self._head_bytes = 0
        """Of the head, at most: what came in one piece with it is counted, too.  Behind it, of the body's coding."""
        self._strange_bytes = 0
        """Of those, at most, what belongs to earlier requests."""
        self._piece = 0
        self._mid_piece = False
        self._trailer_bytes = 0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        self._known: KnownHead | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """A connection: its first request's head is awaited."""
        if self._direct is not None:
            transport.set_write_buffer_limits(high=_WRITE_HIGH)
        super().connection_made(transport if self._writes is None else GatheredTransport(transport, self._writes))
        # Over TLS this machine's loopback is where tunnels from other machines end.
        self._local = self._judge is None and self.client is not None and self.client[0].startswith(_LOOPBACK)
        if self._judge is not None:
            shown = transport.get_extra_info("ssl_object")
            der = None if shown is None else shown.getpeercert(binary_form=True)
            if der is not None:
                self._peer = self._judge(der)
                if self._peer is None:
                    # Whose certificate holds no more is not served as somebody without one.
                    transport.abort()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        for timer in (self._head_timer, self._idle_timer, self._closing_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._idle_timer = self._closing_timer = None
        cycle: Any = self.cycle
        if isinstance(cycle, DirectCycle):
            cycle.gone()
            self.cycle = None  # type: ignore[assignment]  # as before its first request
        if self.active is not None:
            self.active.gone()
            self.active = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes: of a head that is not whole yet, and of what frames a body, at most so many."""
        if self._refused is not None:
            return
        cycle: Any = self.cycle
        self._piece = len(data)
        self._mid_piece = cycle is not None and cycle.more_body
        self._head_bytes += self._piece
        self._feed(data)
        if self.transport.is_closing() or self._refused is not None:
            return
        cycle = self.cycle
        if self._in_head:
            if self._head_bytes - self._strange_bytes > HEAD_BYTES:
                self._refuse(_too_large())
            elif self._head_timer is None:
                self._await_head()
        elif cycle is not None and cycle.more_body:
            if self._head_bytes > HEAD_BYTES + _FRAMING * self._body_bytes:
                self._refuse(InvalidRequestError("The chunks of the body have too much around them."))
            elif type(cycle) is DirectCycle:
                cycle.await_body()

    def on_message_begin(self) -> None:
        """A request begins; what ASGI needs to know of it is put together once it is known to go that way."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._in_head = True
        self._head_bytes = self._piece
        self._strange_bytes = self._piece if self._mid_piece else 0
        self._mid_piece = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one that comes behind the body is nobody's: what was checked stays what was sent."""
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))
            return
        self._trailer_bytes += len(name) + len(value)
        if self._trailer_bytes > HEAD_BYTES:
            raise _too_large()

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
                raise _too_large()
        self._head_bytes = self._body_bytes = self._trailer_bytes = 0
        parser = self.parser
        known = self._known
        if known is not None:
            length = known.length_of(self.url, self.headers)
            if length is not None and parser.get_method() == b"POST" and parser.get_http_version() == "1.1":
                self._begin_known(known, length)
                return
        method = parser.get_method()
        fault = head_fault(method, self.url, parser.get_http_version(), self.headers)
        if fault is not None:
            raise fault
        self._framing = body_framing(self.headers) if parser.should_upgrade() else None
        path = None if self._direct is None else self._direct.takes(method, self.url)
        if path is not None:
            self._begin_direct(path)
        else:
            if len(self.pipeline) >= _MOST_WAITING:
                raise _too_many()
            if self._peer is not None and self._holds is not None and not self._holds(self._peer):
                raise PermissionDeniedError(f"The certificate of {self._peer.role} {self._peer.id!r} was revoked.")
            url, headers, expects = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.scope["rbee.peer"] = self._peer  # type: ignore[typeddict-unknown-key]  # read by `Front` alone
            self.url, self.expect_100_continue = url, expects
            self.headers.extend(headers)
            super().on_headers_complete()
        if self._framing is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        cycle: Any = self.cycle
        self._body_bytes += len(body)
        if cycle.response_complete:
            self._drained()
        elif type(cycle) is DirectCycle:
            cycle.took(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        parser: Any = self.parser
        if self._framing is not None and type(parser) is not BodyParser:
            # It offers to change the protocol: the parser believes that its body were that protocol's.
            return
        cycle: Any = self.cycle
        if type(cycle) is DirectCycle:
            cycle.complete()
        elif not cycle.response_complete:
            super().on_message_complete()
        cycle.more_body = False
        self._read_to_its_end()

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
        one_point_one = self.parser.get_http_version() == "1.1"
        keep_alive = one_point_one and self.parser.should_keep_alive()
        cycle = DirectCycle(
            self,
            self._direct,
            path,
            chunked=one_point_one,
            keep_alive=keep_alive,
            expects_continue=self.expect_100_continue,
        )
        cycle.admit(self.headers, local=self._local, peer=self._peer)
        if cycle.admitted is not None and one_point_one and may_be_known(self.headers):
            self._known = KnownHead(self.url, self.headers, cycle.admitted, keep_alive=keep_alive)
        self._take_turn(cycle)

    def _begin_known(self, known: KnownHead, length: int) -> None:
        """Nothing in its head that has not been judged before, but for the length."""
        assert self._direct is not None  # noqa: S101  # it has taken one like it
        self._framing = None
        cycle = DirectCycle(
            self,
            self._direct,
            known.admitted.path,
            chunked=True,
            keep_alive=known.keep_alive,
            expects_continue=False,
        )
        cycle.admit_again(known.admitted, length)
        self._take_turn(cycle)

    def _take_turn(self, cycle: DirectCycle) -> None:
        before: Any = self.cycle
        if before is None or before.response_complete:
            self.cycle = cycle  # type: ignore[assignment]  # it stands for one
            cycle.start()
            return
        if len(self.pipeline) >= _MOST_WAITING:
            raise _too_many()
        self.cycle = cycle  # type: ignore[assignment]  # likewise
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
        if self._refused is not None:
            self._tell_refusal(self._refused)
            return
        cycle: Any = self.cycle
        if cycle.more_body and cycle.response_complete:
            self._answered_early()
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


def _too_many() -> RbeeError:
    return InvalidRequestError(f"More than {_MOST_WAITING} requests wait on this connection.")


def _too_large() -> RbeeError:
    return InvalidRequestError(f"The head of the request is too large: at most {HEAD_BYTES} bytes are taken.")
