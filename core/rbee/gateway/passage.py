"""One request on its way through the relay: placed, sent, answered, and taken up by another worker when one dies.

It is a state machine that connections, timers and the dispatcher call.  A task exists only while it waits: for a place,
or for a new connection.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from rbee.contract.errors import (
    CancelledByCallerError,
    RbeeError,
    RequestTimeoutError,
    UnavailableError,
    WorkerFailedError,
)
from rbee.contract.wire import RequestRecord
from rbee.gateway.accounting import speaks
from rbee.gateway.answering import Answering
from rbee.gateway.asked import Asked
from rbee.gateway.body import routing_fields
from rbee.gateway.deadline import HEADER as DEADLINE_HEADER
from rbee.gateway.deadline import seconds_of
from rbee.gateway.dispatch import Lease, Outcome, Route
from rbee.gateway.hops import HEADER as HOPS
from rbee.gateway.hops import onward
from rbee.gateway.message import ELSEWHERE, client_head, is_event_stream, request_bytes
from rbee.gateway.reading import traits_of
from rbee.gateway.sink import Sink
from rbee.gateway.upstream import Connection, UpstreamError

if TYPE_CHECKING:
    from rbee.gateway.relay import Relay

log = logging.getLogger(__name__)

T = TypeVar("T")

_ATTEMPTS = 3
_SERVER_ERRORS = 500
_GONE_STATUS = 499
_USAGE_WANTED = (b"x-rbee-usage", b"1")


class Passage:
    """One request; made and started by the relay.

    Args:
        relay: whose.
        asked: the request.
        sink: where the answer goes.
    """

    __slots__ = (
        "_answer", "_asked", "_attempts", "_body", "_byte_at", "_client", "_connection", "_deadline", "_elsewhere",
        "_error", "_first_byte_at", "_head", "_hops", "_keeping", "_lease", "_message", "_over", "_paused",
        "_placed_at", "_relay", "_route", "_sent_at", "_sink", "_spoke_at", "_stalled", "_started", "_status",
        "_task", "_timers", "_trace", "_trouble", "_worker",
    )  # fmt: skip

    def __init__(self, relay: Relay, asked: Asked, sink: Sink) -> None:
        self._relay = relay
        self._asked = asked
        self._sink = sink
        self._answer = Answering(asked, sink)
        self._body = asked.body
        self._client = asked.head or client_head(asked.headers)
        self._hops = b""
        self._route: Route | None = None
        self._lease: Lease | None = None
        self._worker: Lease | None = None
        """The last lease, for the record."""
        self._connection: Connection | None = None
        self._message = b""
        self._task: asyncio.Task[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._deadline: float | None = None
        self._over = False
        self._paused = False
        self._attempts = 0
        self._head: tuple[int, bool] | None = None
        self._elsewhere = False
        """What has failed is not the worker, but a server behind it."""
        self._status: int | None = None
        self._error: RbeeError | None = None
        self._trouble: RbeeError | None = None
        """Why the last worker failed."""
        self._keeping = False
        self._started = time.perf_counter()
        self._sent_at = self._started
        self._placed_at: float | None = None
        self._first_byte_at: float | None = None
        self._byte_at: float | None = None
        """First byte of the last worker's."""
        self._spoke_at: float | None = None
        """First text of a stream of the last worker's."""
        self._stalled = False
        self._trace = None if relay.tracer is None else relay.tracer.begin(asked.headers)

    # --- the beginning -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Find a place and send."""
        asked = self._asked
        try:
            self._hops = onward(self._client.hops, self._relay.hop)
            fields = routing_fields(self._body)
            seconds = None if self._client.deadline is None else seconds_of(self._client.deadline)
            self._route = Route(
                request_id=asked.request_id,
                path=asked.path,
                model=fields.model,
                stream=bool(fields.stream),
                trusted=asked.trusted,
                on_wait=self._answer.waits,
                traits=traits_of(self._client, fields, self._body),
            )
            if seconds is not None:
                self._deadline = self._started + seconds
                self._after(seconds, self._late)
            self._place(self._route)
        except RbeeError as error:
            self.refuse(error)
        except Exception as error:
            self._unexpected(error)

    def _place(self, route: Route) -> None:
        lease = self._relay.dispatcher.try_acquire(route)
        if lease is None:
            if route.stream and not self._keeping:
                self._keeping = True
                self._after(self._relay.keep_alive_s, self._keep_alive)
            self._later(self._wait_for_place, route)
        else:
            self._go(lease)

    async def _wait_for_place(self, route: Route) -> None:
        lease = await self._relay.dispatcher.acquire(route)
        if self._over:
            lease.finish(Outcome(reached=True))
            return
        self._go(lease)

    def _go(self, lease: Lease) -> None:
        """Send the request to the worker that has been found."""
        now = time.perf_counter()
        if self._placed_at is None:
            self._placed_at = now
        self._attempts += 1
        self._lease = self._worker = lease
        self._head = None
        self._elsewhere = False
        lease.watch(self._worker_lost)
        asked = self._asked
        added = [(b"x-request-id", asked.request_id.encode("latin-1"))]
        if self._hops:
            added.append((HOPS, self._hops))
        if self._route is not None and self._route.stream:
            added.append(_USAGE_WANTED)
        if self._deadline is not None:
            added.append((DEADLINE_HEADER, b"%d" % max(1, int((self._deadline - now) * 1000))))
        if self._trace is not None:
            added.append(self._trace.header)
        elif self._client.traceparent is not None:
            added.append((b"traceparent", self._client.traceparent))
        self._message = request_bytes(asked.path, self._client, self._body, lease.target, added)
        self._sent_at = now
        self._byte_at = self._spoke_at = None
        connection = self._relay.pool.take(lease.target)
        if connection is None:
            self._later(self._connect, lease)
        else:
            self._to(connection)

    def _to(self, connection: Connection) -> None:
        self._connection = connection
        connection.send(self._message, self)
        if self._paused:
            connection.pause()

    async def _connect(self, lease: Lease) -> None:
        try:
            connection = await self._relay.pool.connect(lease.target)
        except UpstreamError as error:
            self._failed(str(error))
            return
        if self._over or self._lease is not lease:
            connection.abort()
            return
        self._to(connection)

    # --- the answer, as the connection tells it ------------------------------------------------------------------

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """See `Receiver`."""
        if self._over:
            return
        stream = is_event_stream(headers)
        self._head = (status, stream)
        if status >= _SERVER_ERRORS:
            self._elsewhere = any(name == ELSEWHERE for name, _ in headers)
        if self._lease is not None:
            self._answer.head(status, headers, self._lease, stream=stream)

    def on_data(self, data: bytes) -> None:
        """See `Receiver`."""
        if self._over:
            return
        if self._byte_at is None:
            self._byte_at = time.perf_counter()
            if not self._answer.begun:
                # What an earlier worker had said was not passed on.
                self._first_byte_at = self._byte_at
        if self._spoke_at is None and self._answer.stream and speaks(data):
            self._spoke_at = time.perf_counter()
        self._answer.data(data)

    def on_end(self) -> None:
        """See `Receiver`."""
        if self._over:
            return
        self._connection = None
        status, _ = self._head or (0, False)
        if status >= _SERVER_ERRORS and not self._answer.begun and self._attempts < _ATTEMPTS:
            self._later(self._try_another, status)
        else:
            self._ended(status)

    def _ended(self, status: int) -> None:
        """The worker's answer stands."""
        self._status = self._answer.end()
        self._finish(Outcome(reached=True, first_byte_s=self._first_byte_s, status=self._shown_by_worker(status)))

    def on_broken(self, why: str, *, answered: bool) -> None:
        """See `Receiver`."""
        connection, self._connection = self._connection, None
        if self._over:
            return
        if connection is not None and not connection.fresh and not answered and self._lease is not None:
            # An idle line that its worker had closed: nothing of the request has been seen, so it is no failure.
            self._later(self._connect, self._lease)
            return
        self._failed(why)

    # --- trouble -------------------------------------------------------------------------------------------------

    async def _try_another(self, status: int) -> None:
        """Send the request to another worker that is free now, rather than pass a server's error on."""
        route, lease = self._route, self._lease
        if route is None or lease is None:
            return
        another = self._tried(route, lease)
        try:
            found = await self._relay.dispatcher.acquire_free(another)
        except RbeeError:
            found = None
        if found is not None and (self._over or found.worker_id in another.tried):
            found.finish(Outcome(reached=True))
            found = None
        if self._over:
            return
        if found is None:
            self._ended(status)
            return
        log.warning("request %s: worker %s answered %d; trying another", route.request_id, lease.worker_id, status)
        self._release(Outcome(reached=True, status=self._shown_by_worker(status)))
        self._answer.forget()
        self._route = another
        self._go(found)

    def _shown_by_worker(self, status: int) -> int | None:
        """The status, where it says something of the worker.

        One that is sound must not be given up, and others stopped to make room for its like, for what a server has
        answered to which every other one would lead too.
        """
        return None if status >= _SERVER_ERRORS and self._elsewhere else status

    def _failed(self, why: str) -> None:
        """The worker has broken off, or could not be reached."""
        route, lease = self._route, self._lease
        if self._over or route is None or lease is None:
            return
        self._release(Outcome(reached=False))
        error = WorkerFailedError(
            f"Worker {lease.worker_id!r} died or hung while it answered ({why}). Ask again: another takes its place."
        )
        again = self._tried(route, lease)
        if self._attempts >= _ATTEMPTS:
            self.refuse(error)
            return
        if self._answer.begun:
            rest = self._answer.rest(self._body)
            if rest is None:
                self.refuse(error)
                return
            self._body = rest
            again = msgspec.structs.replace(again, continues=True)
        else:
            self._answer.forget()
        log.warning("request %s: worker %s: %s; trying again", route.request_id, lease.worker_id, why)
        self._route = again
        self._trouble = error
        try:
            self._place(again)
        except RbeeError as found:
            self.refuse(self._both(error, found))
        except Exception as found:
            self._unexpected(found)

    def _both(self, first: RbeeError | None, second: RbeeError) -> RbeeError:
        """What to tell when a worker has failed and another could not be had."""
        if not isinstance(first, WorkerFailedError):
            return second
        message = f"{first.message} No other worker could be had: {second.message}"
        if isinstance(second, UnavailableError) and not self._answer.begun:
            # It may be otherwise in a moment, which clients are told by the status and by Retry-After.
            return type(second)(message, retry_after_s=second.retry_after_s, details=second.details)
        return WorkerFailedError(message, details=second.details)

    @staticmethod
    def _tried(route: Route, lease: Lease) -> Route:
        return msgspec.structs.replace(route, tried=route.tried | {lease.worker_id})

    def _worker_lost(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
        elif self._task is not None:
            self._task.cancel()
            self._task = None
        self._failed("it is dead or hangs")

    def _late(self) -> None:
        self.refuse(RequestTimeoutError("The request's deadline (X-Request-Deadline) has passed."))

    def _keep_alive(self) -> None:
        """Nothing has come yet: say so, or proxies on the way cut the line."""
        self._keeping = False
        if not self._over and self._lease is None and self._answer.comment():
            self._keeping = True
            self._after(self._relay.keep_alive_s, self._keep_alive)

    def _unexpected(self, error: Exception) -> None:
        log.error("request %s failed unexpectedly", self._asked.request_id, exc_info=error)
        told = RbeeError(f"Request {self._asked.request_id!r} failed unexpectedly; the program's log has the details.")
        told.__cause__ = error
        self.refuse(told)

    # --- the client ----------------------------------------------------------------------------------------------

    def gone(self) -> None:
        """The client has left."""
        if not self._over:
            self._status = _GONE_STATUS
            self._error = CancelledByCallerError("The client went away.")
            self._finish(Outcome(reached=True, first_byte_s=self._first_byte_s))

    def pause(self) -> None:
        """The client takes no more for now."""
        self._paused = self._stalled = True
        self._answer.stalls()
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """The client takes more."""
        self._paused = False
        if self._connection is not None:
            self._connection.resume()

    # --- the end -------------------------------------------------------------------------------------------------

    def refuse(self, error: RbeeError) -> None:
        """End the request with an error; harmless when it is over."""
        if self._over:
            return
        self._error = error
        self._status = self._sink.fail(error)
        self._finish(Outcome(reached=True, first_byte_s=self._first_byte_s))

    @property
    def _first_byte_s(self) -> float | None:
        return None if self._byte_at is None else self._byte_at - self._sent_at

    def _finish(self, outcome: Outcome) -> None:
        if self._over:
            return
        self._over = True
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
        if self._task is not None and self._task is not _current():
            self._task.cancel()
        self._task = None
        for timer in self._timers:
            timer.cancel()
        self._release(outcome)
        record = self._record()
        # A place may know whom to tell of its worker's end: a circle, which would keep all of this for a while.
        self._worker = None
        self._relay.over(self, record)
        if self._trace is not None:
            self._trace.end(record)

    def _release(self, outcome: Outcome) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.finish(outcome)

    def _record(self) -> RequestRecord:
        now = time.perf_counter()
        answer, asked, worker, first = self._answer, self._asked, self._worker, self._first_byte_at
        spoke = self._spoke_at
        usage = answer.usage()
        error = self._error
        return RequestRecord(
            request_id=asked.request_id,
            path=asked.door or asked.path,
            model=None if self._route is None else self._route.model,
            worker_id=None if worker is None else worker.worker_id,
            status=self._status or 500,
            error_code=None if error is None else error.code,
            first_byte_s=self._first_byte_s,
            duration_s=now - self._started,
            bytes_out=answer.bytes_out,
            model_id=None if worker is None else worker.model_id,
            hive_id=None if worker is None else worker.hive_id,
            stream=answer.stream,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            queue_s=None if self._placed_at is None else self._placed_at - self._started,
            first_token_s=None if first is None else first - self._started,
            attempts=self._attempts,
            continued=answer.continued,
            cached_tokens=usage.cached_tokens,
            prompt_s=usage.prompt_s,
            decode_s=usage.decode_s,
            first_text_s=None if spoke is None or self._stalled else spoke - self._sent_at,
            beside=None if worker is None else worker.beside,
        )

    # --- tasks and timers ----------------------------------------------------------------------------------------

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, what))

    def _later(self, work: Callable[[T], Coroutine[Any, Any, None]], given: T) -> None:
        self._task = asyncio.get_running_loop().create_task(self._guarded(work, given))

    async def _guarded(self, work: Callable[[T], Coroutine[Any, Any, None]], given: T) -> None:
        me = asyncio.current_task()
        try:
            # Called here: a client that leaves before this begins would leave a coroutine that nobody awaits.
            await work(given)
        except RbeeError as error:
            self.refuse(self._both(self._trouble, error))
        except Exception as error:
            self._unexpected(error)
        finally:
            if self._task is me:
                self._task = None


def _current() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
