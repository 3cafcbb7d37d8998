"""The answer of one request, on its way from workers to its client: held while it may still change, then passed on."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.gateway.accounting import StreamUsage, Usage, usage_of
from rbee.gateway.asked import Asked
from rbee.gateway.continuing import Rest, Transcript, rest_of
from rbee.gateway.dispatch import Lease, Queued
from rbee.gateway.message import answer_headers
from rbee.gateway.sink import Sink

_WHOLE_LIMIT = 1024 * 1024
_PART_LIMIT = 64 * 1024
_OK = 200
_STREAM_HEADERS = (
    # Or nginx, where somebody has put one in front, collects the tokens before it passes them on.
    (b"x-accel-buffering", b"no"),
    (b"trailer", b"x-rbee-continued"),
)
_WAITING_HEADERS = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))


class Answering:
    """Passes on; knows what the client has got.

    A whole answer is held until it is whole, so that a worker that dies leaves a proper error, or none.  Of a stream,
    only whole events are passed on, so that whatever follows begins a new one.

    Args:
        asked: the request.
        sink: its client.
    """

    __slots__ = (
        "_asked", "_began_with_comment", "_head", "_part", "_parts", "_position", "_queued", "_rest", "_sink", "_size",
        "_stream_usage", "_transcript", "_usage", "begun", "bytes_out", "continued", "stream",
    )  # fmt: skip

    def __init__(self, asked: Asked, sink: Sink) -> None:
        self._asked = asked
        self._sink = sink
        self.begun = False
        """Something of the answer has gone to the client: it can no longer be another one."""
        self.stream = False
        self.bytes_out = 0
        self.continued = False
        self._began_with_comment = False
        self._head: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._part = b""
        self._position: int | None = None
        """Where it began to wait for a slot."""
        self._queued: Queued | None = None
        self._rest: Rest | None = None
        self._stream_usage: StreamUsage | None = None
        self._transcript: Transcript | None = None
        self._usage = Usage()

    def waits(self, queued: Queued) -> None:
        """The request waits for a slot, at that place in the queue."""
        self._queued = queued
        if self._position is None:
            self._position = queued.position

    def comment(self) -> bool:
        """Begin a stream with a comment, or send another, while nothing else has come; False when it is too late."""
        if self.begun and self._rest is None:
            return False
        if not self.begun and not self._began_with_comment:
            self._began_with_comment = True
            self._sink.begin(_OK, [*_WAITING_HEADERS, *self._own_headers(None, stream=True)], stream=True)
        where = b"" if self._queued is None else _place(self._queued)
        self._sink.data(b": waiting" + where + b"\n\n")
        return True

    def head(self, status: int, headers: Sequence[tuple[bytes, bytes]], lease: Lease, *, stream: bool) -> None:
        """The head of a worker's answer."""
        if self._rest is not None and not (stream and status == _OK):
            # The second worker does not go on; what it says instead is no part of this answer.
            self._rest = None
            self._transcript = None
        self.stream = stream
        self._head = (status, [*answer_headers(headers), *self._own_headers(lease, stream=stream)])
        if stream and self._stream_usage is None:
            self._stream_usage = StreamUsage()
            self._transcript = Transcript(self._asked.path)

    def data(self, data: bytes) -> None:
        """More of a worker's body."""
        if not self.stream:
            self._hold(data)
            return
        if not data.endswith(b"\n\n"):
            data = self._whole_events(data)
            if not data:
                return
        elif self._part:
            data, self._part = self._part + data, b""
        if self._rest is not None:
            data = self._rest(data)
            if not data:
                return
        if not self.begun:
            self._begin()
        if self._stream_usage is not None:
            self._stream_usage.saw(data)
        if self._transcript is not None:
            self._transcript.add(data)
        self.bytes_out += len(data)
        self._sink.data(data)

    def stalls(self) -> None:
        """The client takes no more for now."""
        if self._transcript is not None:
            self._transcript.stalls()

    def end(self) -> int:
        """The worker's answer is complete; returns the status that the client has got."""
        status, headers = self._head or (500, [])
        if not self.stream and not self.begun:
            body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self.bytes_out += len(body)
            self._usage = usage_of(body)
            if self._began_with_comment:
                self._as_event(body)
                return _OK
            self._sink.whole(status, headers, body)
            return status
        if self._part:
            part, self._part = self._part, b""
            if not self.begun:
                self._begin()
            self.bytes_out += len(part)
            self._sink.data(part)
        elif not self.begun:
            self._begin()
        self._sink.end([(b"x-rbee-continued", b"1")] if self.continued else [])
        return _OK if self._began_with_comment else status

    def forget(self) -> None:
        """Nothing has gone to the client: what a worker has said is void."""
        self._head = None
        self._parts.clear()
        self._size = 0
        self._part = b""
        self.stream = False
        self._stream_usage = None
        self._transcript = None

    def rest(self, body: bytes) -> bytes | None:
        """The body of a request for what is missing of a stream that has broken off; None when nobody can go on."""
        transcript = self._transcript
        if transcript is None or not self.stream:
            return None
        found = rest_of(self._asked.path, body if self._rest is None else self._asked.body, transcript)
        if found is not None:
            self._rest = Rest(transcript)
            self._part = b""
            self.continued = True
        return found

    def usage(self) -> Usage:
        """Tokens, as far as they are known."""
        return self._usage if self._stream_usage is None else self._stream_usage.usage()

    # --- inside --------------------------------------------------------------------------------------------------

    def _own_headers(self, lease: Lease | None, *, stream: bool) -> list[tuple[bytes, bytes]]:
        asked = self._asked
        own = [(b"x-request-id", asked.request_id.encode("latin-1"))]
        if stream:
            own.extend(_STREAM_HEADERS)
        if self._position is not None:
            own.append((b"x-rbee-queue-position", b"%d" % self._position))
        if asked.local and lease is not None:
            own.append((b"x-rbee-worker", lease.worker_id.encode("latin-1", "replace")))
            if lease.reason:
                own.append((b"x-rbee-reason", lease.reason.encode("ascii", "replace")))
        return own

    def _begin(self) -> None:
        self.begun = True
        if not self._began_with_comment:
            status, headers = self._head or (_OK, [])
            self._sink.begin(status, headers, stream=self.stream)

    def _hold(self, data: bytes) -> None:
        """Keep a whole answer, and let go of one that is too large to be kept."""
        if self.begun:
            self.bytes_out += len(data)
            self._sink.data(data)
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > _WHOLE_LIMIT and not self._began_with_comment:
            self._begin()
            held = b"".join(self._parts)
            self._parts.clear()
            self.bytes_out += len(held)
            self._sink.data(held)

    def _whole_events(self, data: bytes) -> bytes:
        """As much as makes whole events; the rest is kept for the next time."""
        data = self._part + data
        end = max(data.rfind(mark) + len(mark) if mark in data else 0 for mark in (b"\n\n", b"\r\n\r\n"))
        if not end and len(data) > _PART_LIMIT:
            end = len(data)
        self._part = data[end:]
        return data[:end]

    def _as_event(self, body: bytes) -> None:
        """A whole answer on what has begun as a stream of events: an error most often."""
        self.begun = True
        self._sink.data(b"data: " + body.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n\n")
        self._sink.end([])


def _place(queued: Queued) -> bytes:
    """A place in the queue, for a person who reads the stream."""
    about = b"" if queued.expected_s is None else b", about %d s" % max(1, round(queued.expected_s))
    return b", place %d in the queue%b" % (queued.position, about)
