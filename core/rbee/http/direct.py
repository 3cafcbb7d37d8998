"""Requests that are served below ASGI: by callbacks on the connection, without a task and without messages.

For the few routes where a hundred thousand answers' pieces a second pass through.  uvicorn's protocol keeps the
connection, its limits and pipelining; `DirectCycle` stands where a cycle of ASGI would.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from rbee.contract.errors import PayloadTooLargeError, RbeeError, RequestTimeoutError
from rbee.http.errors import public_error
from rbee.trust.names import Peer

if TYPE_CHECKING:
    import asyncio

    from rbee.http.protocol import BoundedProtocol

Headers = list[tuple[bytes, bytes]]

_BODY_S = 30.0
DRAINED_BYTES = 1024 * 1024
"""What is still read of a body whose request has been answered already, so that the answer arrives."""
_LAST_CHUNK = b"0\r\n"


def _status_lines() -> dict[int, bytes]:
    known = {status.value: status.phrase for status in HTTPStatus}
    return {code: f"HTTP/1.1 {code} {known.get(code, '')}\r\n".encode("ascii") for code in range(100, 600)}


_STATUS_LINES = _status_lines()


class Shared:
    """What all requests with one and the same head have in common; made by whoever serves the first of them."""

    __slots__ = ("made",)

    def __init__(self) -> None:
        self.made: Any = None


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose head has passed the guard.

    Attributes:
        path: without prefix.
        request_id: the caller's, or a fresh one.
        headers: names in lower case.
        trusted: the caller has sent the colony's token.
        local: the caller is on this machine.
        told: headers that every answer to it bears.
        shared: with every request that repeats this head.
    """

    path: str
    request_id: str
    headers: Headers
    trusted: bool
    local: bool
    told: Headers = msgspec.field(default_factory=list)
    shared: Shared = msgspec.field(default_factory=Shared)


class Underway(Protocol):
    """A request that is being served."""

    def gone(self) -> None:
        """The client has left."""

    def pause(self) -> None:
        """The client takes no more for now."""

    def resume(self) -> None:
        """The client takes more."""


class DirectRoutes(Protocol):
    """Serves some routes below ASGI."""

    max_body: int
    """Bytes a body may have."""

    def takes(self, method: bytes, url: bytes) -> str | None:
        """The path, without prefix, of a request that is served here; None for all others."""

    def admit(self, path: str, headers: Headers, *, local: bool, peer: Peer | None = None) -> Admitted:
        """Check the head of a request.

        Raises:
            RbeeError: it is refused.
        """

    def again(self, admitted: Admitted) -> Admitted:
        """A further request with the very head of one that was admitted, of another length perhaps."""

    def refusal(self, error: RbeeError, request_id: str | None) -> tuple[int, Headers, bytes]:
        """An error as an answer: status, headers and body."""

    def serve(self, admitted: Admitted, body: bytes, answer: DirectCycle) -> Underway:
        """Serve a whole request; the answer is told, perhaps before this returns."""


class DirectCycle:
    """One request and its answer on a connection.

    Args:
        connection: whose.
        routes: serve it.
        path: as `DirectRoutes.takes` gave it.
        chunked: the client understands chunks (HTTP/1.1).
        keep_alive: the client wants the connection kept.
        expects_continue: the client waits for word before it sends its body.
    """

    __slots__ = (
        "_admitted",
        "_chunked",
        "_connection",
        "_expects_continue",
        "_framed",
        "_head",
        "_heard_at",
        "_limit",
        "_parts",
        "_path",
        "_refused",
        "_routes",
        "_size",
        "_started",
        "_stream",
        "_timer",
        "_underway",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
    )  # fmt: skip

    def __init__(
        self,
        connection: BoundedProtocol,
        routes: DirectRoutes,
        path: str,
        *,
        chunked: bool,
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        self._connection = connection
        self._routes = routes
        self._path = path
        self._chunked = chunked
        self._expects_continue = expects_continue
        self._limit = routes.max_body
        self._parts: list[bytes] = []
        self._size = 0
        self._admitted: Admitted | None = None
        self._refused: RbeeError | None = None
        self._underway: Underway | None = None
        self._started = False
        self._head = b""
        self._framed = False
        self._stream = False
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        # What uvicorn's protocol reads of its cycles.
        self.keep_alive = keep_alive
        self.more_body = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False

    # --- the request ---------------------------------------------------------------------------------------------

    def admit(self, headers: Headers, *, local: bool, peer: Peer | None = None) -> None:
        """The head has come."""
        try:
            for name, value in headers:
                if name == b"content-length" and int(value) > self._limit:
                    self._size = int(value)
                    raise _too_large(self._size, self._limit)
            self._admitted = self._routes.admit(self._path, headers, local=local, peer=peer)
        except RbeeError as error:
            self._refused = error

    def admit_again(self, admitted: Admitted, length: int) -> None:
        """The head has come, the same as that of an earlier request."""
        if length > self._limit:
            self._size = length
            self._refused = _too_large(length, self._limit)
        else:
            self._admitted = self._routes.again(admitted)

    @property
    def admitted(self) -> Admitted | None:
        """The request, None for one that was refused."""
        return self._admitted

    def start(self) -> None:
        """It is this request's turn to be answered."""
        self._started = True
        self._connection.active = self
        if self._refused is not None:
            self.fail(self._refused)
        elif not self.more_body:
            self._serve()
        elif self._expects_continue:
            self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def took(self, body: bytes) -> None:
        """A piece of the body has come."""
        self._size += len(body)
        if self._refused is not None:
            return
        if self._size > self._limit:
            self._parts.clear()
            self._refused = PayloadTooLargeError(f"The body has more than {self._limit} bytes.")
            if self._started:
                self.fail(self._refused)
            return
        self._parts.append(body)

    def complete(self) -> None:
        """The body is whole."""
        self.more_body = False
        self._disarm()
        if self._started and not self.response_complete:
            self._serve()

    def await_body(self) -> None:
        """More of the body is to come: not for ever."""
        loop = self._connection.loop
        self._heard_at = loop.time()
        if self._timer is None and self.more_body and not self.response_complete:
            self._timer = loop.call_later(_BODY_S, self._body_is_late)

    def gone(self) -> None:
        """The client has left."""
        self.disconnected = True
        self._disarm()
        underway, self._underway = self._underway, None
        if underway is not None:
            underway.gone()

    def pause(self) -> None:
        """The client takes no more for now."""
        if self._underway is not None:
            self._underway.pause()

    def resume(self) -> None:
        """The client takes more."""
        if self._underway is not None:
            self._underway.resume()

    # --- the answer: a sink --------------------------------------------------------------------------------------

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer."""
        if self.disconnected or self.response_complete:
            return
        if self.more_body and self._size > DRAINED_BYTES:
            # The rest of the request will not be read to its end: no other may come behind it.
            self.keep_alive = False
        head = self._head_of(status, headers, b"content-length: %d\r\n" % len(body))
        self.response_started = True
        self._connection.transport.write(head + body)
        self._over()

    def begin(self, status: int, headers: Headers, *, stream: bool) -> None:
        """The head of an answer whose body follows; it leaves with the first piece of that."""
        self.response_started = True
        self._stream = stream
        length = None
        if not stream:
            length = next((value for name, value in headers if name == b"content-length"), None)
        if length is not None:
            framing = b"content-length: " + length + b"\r\n"
        elif self._chunked:
            self._framed = True
            framing = b"transfer-encoding: chunked\r\n"
        else:
            # HTTP/1.0 has no other way to tell the end.
            self.keep_alive = False
            framing = b""
        self._head = self._head_of(status, headers, framing)

    def data(self, data: bytes) -> None:
        """More of the body."""
        if self.disconnected or not data:
            return
        if self._framed:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head:
            data, self._head = self._head + data, b""
        self._connection.transport.write(data)

    def end(self, trailers: Headers) -> None:
        """The body is complete."""
        if self.disconnected:
            return
        last = b""
        if self._framed:
            last = _LAST_CHUNK + b"".join(b"%b: %b\r\n" % trailer for trailer in trailers) + b"\r\n"
        if self._head or last:
            self._connection.transport.write(self._head + last)
            self._head = b""
        self._over()

    def fail(self, error: RbeeError) -> int:
        """The request has failed: in place of an answer, or in the middle of one; returns the status."""
        request_id = None if self._admitted is None else self._admitted.request_id
        status, headers, body = self._routes.refusal(error, request_id)
        if not self.response_started:
            self.whole(status, headers, body)
        elif self._stream:
            # One event that clients of the API take as an error, and a proper end.
            self.data(b"data: " + body + b"\n\n")
            self.end([])
            status = HTTPStatus.OK
        else:
            # Half a document cannot be mended: cut off, clients notice.
            self._connection.transport.abort()
        return status

    # --- inside --------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        admitted = self._admitted
        if admitted is None:
            return
        parts, self._parts = self._parts, []
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        try:
            underway = self._routes.serve(admitted, body, self)
        except Exception as error:
            self.fail(public_error(error, where="the gateway"))
            return
        if self.response_complete:
            return
        self._underway = underway
        if self.disconnected:
            self.gone()
        elif self._connection.flow.write_paused:
            underway.pause()

    def _head_of(self, status: int, headers: Headers, framing: bytes) -> bytes:
        parts = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
        if self._admitted is not None and self._admitted.told:
            headers = [*headers, *self._admitted.told]
        lines = 2
        for name, value in headers:
            if name != b"content-length":
                lines += 1
                parts += (name, b": ", value, b"\r\n")
        if framing:
            lines += 1
            parts.append(framing)
        parts.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        head = b"".join(parts)
        if head.count(b"\n") != lines + (not self.keep_alive) or head.count(b"\r") != head.count(b"\n"):
            # A value with a line of its own would be a header, or an answer, that nobody meant.
            clean = [one for one in headers if not any(byte in b"\r\n" for part in one for byte in part)]
            return self._head_of(status, clean, framing)
        return head

    def _over(self) -> None:
        self.response_complete = True
        self._underway = None
        self._connection.active = None
        self._disarm()
        if not self.keep_alive and not self.more_body:
            self._connection.transport.close()
        self._connection.on_response_complete()

    def _body_is_late(self) -> None:
        self._timer = None
        if self.response_complete or not self.more_body:
            return
        left = self._heard_at + _BODY_S - self._connection.loop.time()
        if left > 0:
            self._timer = self._connection.loop.call_later(left, self._body_is_late)
        elif self._started:
            self.fail(RequestTimeoutError(f"Nothing of the body came for {_BODY_S:.0f} s."))

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _too_large(size: int, limit: int) -> RbeeError:
    return PayloadTooLargeError(f"The body has {size} bytes; at most {limit} are taken.")
