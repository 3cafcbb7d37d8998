"""The relay: an ASGI callable that passes a request to a worker and the answer back, without re-encoding."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from rbee.contract.errors import (
    CancelledByCallerError,
    RbeeError,
    WorkerFailedError,
)
from rbee.contract.wire import RequestRecord
from rbee.gateway.body import read_body, routing_fields
from rbee.gateway.dispatch import Dispatcher, Lease, Outcome, Route
from rbee.gateway.message import answer_headers, is_event_stream, request_bytes
from rbee.gateway.pool import Exchange, Pool
from rbee.gateway.upstream import UpstreamError

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
RenderError = Callable[[RbeeError, str], tuple[int, tuple[tuple[bytes, bytes], ...], bytes]]
"""Makes status, headers and body of an error in OpenAI's envelope, from the error and the request's id."""

_WHOLE_LIMIT = 1024 * 1024
_ATTEMPTS = 3


class Relay:
    """Serves POST requests on the OpenAI routes.

    Args:
        dispatcher: finds a place for each request.
        pool: connections to workers.
        render_error: see `RenderError`.
        max_body: bytes a request may have.
        observe: told each request when it has ended.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        pool: Pool,
        render_error: RenderError,
        max_body: int,
        observe: Callable[[RequestRecord], None] = lambda _: None,
    ) -> None:
        self.dispatcher = dispatcher
        self.pool = pool
        self.render_error = render_error
        self.max_body = max_body
        self.observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send, *, path: str, request_id: str) -> None:
        """Serve one request.

        Args:
            scope: of ASGI.
            receive: of ASGI.
            send: of ASGI.
            path: the OpenAI path without prefix; the worker is asked the same one.
            request_id: told to the worker and back to the client.
        """
        await _Request(self, scope, receive, send, path, request_id).serve()


class _Request:
    """One request on its way: what is known of it so far, for its record and its error."""

    __slots__ = (
        "_bytes_out", "_exchange", "_first_byte_s", "_gone", "_lost", "_model", "_path", "_receive", "_relay",
        "_request_id", "_scope", "_send", "_sent_at", "_started", "_status", "_stream", "_task", "_worker_id",
    )  # fmt: skip

    def __init__(self, relay: Relay, scope: Scope, receive: Receive, send: Send, path: str, request_id: str) -> None:
        self._relay = relay
        self._scope, self._receive, self._send = scope, receive, send
        self._path, self._request_id = path, request_id
        self._started = self._sent_at = time.perf_counter()
        self._model: str | None = None
        self._worker_id: str | None = None
        self._status: int | None = None
        self._first_byte_s: float | None = None
        self._bytes_out = 0
        self._stream = False
        self._exchange: Exchange | None = None
        self._gone = False
        self._lost = False
        self._task = asyncio.current_task()

    async def serve(self) -> None:
        error: RbeeError | None = None
        watch: asyncio.Task[None] | None = None
        try:
            body = await read_body(self._receive, self._scope, self._relay.max_body)
            fields = routing_fields(body)
            self._model = fields.model
            route = Route(
                request_id=self._request_id,
                path=self._path,
                model=fields.model,
                stream=bool(fields.stream),
                trusted=self._scope.get("state", {}).get("trusted", False),
            )
            watch = asyncio.ensure_future(self._watch_client())
            await self._relay_to_some_worker(route, body)
        except RbeeError as raised:
            error = raised
        except UpstreamError as raised:
            error = (
                CancelledByCallerError("The client went away.")
                if self._gone
                else WorkerFailedError(
                    f"Worker {self._worker_id!r} died or hung while it answered ({raised}). "
                    "Ask again: another takes its place."
                )
            )
        except asyncio.CancelledError:
            if not self._gone:
                raise
            if self._task is not None:
                self._task.uncancel()
            error = CancelledByCallerError("The client went away.")
        except Exception as raised:
            log.exception("request %s failed unexpectedly", self._request_id)
            error = RbeeError(f"Request {self._request_id!r} failed unexpectedly; the program's log has the details.")
            error.__cause__ = raised
        finally:
            if watch is not None:
                watch.cancel()
        if error is not None and not self._gone:
            await self._tell(error)
        self._record(error)

    async def _relay_to_some_worker(self, route: Route, body: bytes) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            lease = await self._relay.dispatcher.acquire(route)
            self._worker_id = lease.worker_id
            try:
                await self._relay_to(lease, body)
            except UpstreamError as error:
                # Nothing has reached the client yet: another worker may serve it as if nothing had happened.
                if self._status is not None or self._gone or error.answered or attempt == _ATTEMPTS:
                    raise
                log.warning("request %s: worker %s: %s; trying again", self._request_id, lease.worker_id, error)
                continue
            return

    async def _relay_to(self, lease: Lease, body: bytes) -> None:
        reached = False
        self._lost = False
        lease.watch(self._worker_lost)
        exchange: Exchange | None = None
        pool = self._relay.pool
        self._sent_at = time.perf_counter()
        try:
            message = request_bytes(self._path, self._scope["headers"], body, lease.target, self._request_id)
            exchange = self._exchange = await pool.request(lease.target, message)
            reached = True
            await self._pass_on(exchange)
        except UpstreamError:
            # A client that went away closed this line itself; the worker is not to blame.
            reached = self._gone
            raise
        except asyncio.CancelledError as error:
            if self._lost and not self._gone:
                if self._task is not None:
                    self._task.uncancel()
                raise UpstreamError("it is dead or hangs", answered=False) from error
            reached = True
            raise
        finally:
            self._exchange = None
            if exchange is not None:
                pool.done(exchange)
            lease.finish(Outcome(reached=reached, first_byte_s=self._first_byte_s))

    async def _pass_on(self, exchange: Exchange) -> None:
        response = exchange.response
        stream = self._stream = is_event_stream(response.headers)
        head = answer_headers(response.headers, self._request_id, stream=stream)
        chunk = await response.read()
        self._first_byte_s = time.perf_counter() - self._sent_at
        if not stream:
            # A whole answer is held until it is whole, so that a worker that dies leaves a proper error.
            parts = []
            held = 0
            while chunk is not None and held < _WHOLE_LIMIT:
                parts.append(chunk)
                held += len(chunk)
                chunk = await response.read()
            chunk = b"".join(parts) if chunk is None else b"".join([*parts, chunk])
        self._status = response.status
        await self._send({"type": "http.response.start", "status": response.status, "headers": head})
        while chunk is not None and not self._gone:
            self._bytes_out += len(chunk)
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await response.read()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch_client(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._exchange is not None:
            self._exchange.response.abort()
        elif self._task is not None:
            self._task.cancel()

    def _worker_lost(self) -> None:
        self._lost = True
        if self._exchange is not None:
            self._exchange.response.abort()
        elif self._task is not None:
            self._task.cancel()

    async def _tell(self, error: RbeeError) -> None:
        status, headers, body = self._relay.render_error(error, self._request_id)
        if self._status is None:
            self._status = status
            await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})
            await self._send({"type": "http.response.body", "body": body})
            return
        if not self._stream:
            # Half a document cannot be mended: left incomplete, the server closes the line, which clients notice.
            return
        # The answer has begun: one event that clients of the API take as an error, and a proper end.
        event = b"data: " + body + b"\n\n"
        await self._send({"type": "http.response.body", "body": event, "more_body": False})

    def _record(self, error: RbeeError | None) -> None:
        record = RequestRecord(
            request_id=self._request_id,
            path=self._path,
            model=self._model,
            worker_id=self._worker_id,
            status=499 if self._gone else self._status or 500,
            error_code=None if error is None else error.code,
            first_byte_s=self._first_byte_s,
            duration_s=time.perf_counter() - self._started,
            bytes_out=self._bytes_out,
        )
        self._relay.observe(record)
