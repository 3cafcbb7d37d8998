"""The face of an engine that brings its own OpenAI-speaking server: bytes are relayed to it."""

from __future__ import annotations

import contextlib
import logging
import urllib.parse
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any

import msgspec

from rbee.builtin.one_thread import OneThread
from rbee.contract.engine import Endpoint, EngineStatus, ServedEngine, StageReport
from rbee.contract.errors import CancelledByCallerError, RbeeError, WorkerFailedError
from rbee.contract.types import LoadSpec
from rbee.contract.wire import InferRequest
from rbee.gateway import (
    AsgiRelay,
    Dispatcher,
    Lease,
    Outcome,
    Pool,
    Route,
    Target,
    UpstreamError,
    UpstreamResponse,
    read_body,
    routing_fields,
)
from rbee.gateway.message import client_head, is_event_stream, request_bytes
from rbee.http.errors import render
from rbee.worker.assemble import as_stream, assemble
from rbee.worker.face import EngineFace, InferDelta, Receive, Scope, Send
from rbee.worker.leaving import unless_gone
from rbee.worker.readying import Readying
from rbee.worker.served_infer import deltas_of, openai_request, refused
from rbee.worker.tokens.refusals import refuse_ignored
from rbee.worker.translating import Translating

log = logging.getLogger(__name__)

_PREFIX = "/v1"
_ERRORS = 400


class _EngineLease(Lease):
    """The engine takes whatever comes and queues by itself."""

    def __init__(self, worker_id: str, target: Target) -> None:
        self.worker_id = worker_id
        self.target = target

    def finish(self, outcome: Outcome) -> None:
        pass


class _ToEngine(Dispatcher):
    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    async def acquire(self, route: Route) -> Lease:
        return self._lease


class ServedFace(EngineFace):
    """Starts and stops the engine in one thread of its own, and relays to it in between.

    Args:
        engine: not started yet.
        spec: what to load.
        worker_id: for messages.
        max_body: bytes a request may have.
    """

    def __init__(self, engine: ServedEngine, spec: LoadSpec, worker_id: str, max_body: int) -> None:
        self._engine = engine
        self._spec = spec
        self._worker_id = worker_id
        self._max_body = max_body
        self._life = OneThread("engine")
        self._figures = OneThread("engine-status")
        self._pool = Pool()
        self._target: Target | None = None
        self._whole_answers_cancel = True
        self._stream_fields: dict[str, Any] = {}
        self._model: str | None = None
        self._prefix = _PREFIX
        self._readying = Readying(engine)
        self._ignored = engine.ignored_parameters
        self._relay: AsgiRelay | None = None

    async def start(self, report: StageReport) -> int | None:
        endpoint = await self._life.call(self._engine.start, self._spec, report)
        self._target = _target(endpoint)
        self._whole_answers_cancel = endpoint.whole_answers_cancel
        self._stream_fields = endpoint.stream_fields
        self._model = endpoint.model
        self._prefix = endpoint.prefix
        self._readying = Readying(self._engine, endpoint.before)
        self._ignored = self._engine.ignored_parameters | endpoint.ignored_parameters
        lease = _EngineLease(self._worker_id, self._target)
        self._relay = AsgiRelay(_ToEngine(lease), self._pool, _render, self._max_body)
        return endpoint.context_length

    async def stop(self) -> None:
        self._pool.close()
        self._relay = None
        self._figures.close()
        try:
            await self._life.call(self._engine.stop)
        finally:
            self._life.close()

    async def status(self) -> EngineStatus:
        return await self._figures.call(self._engine.status)

    def alive(self) -> bool:
        return self._relay is not None and self._engine.alive()

    async def openai(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._relay is None:
            raise WorkerFailedError("The engine is not loaded.")
        request_id = scope.get("state", {}).get("request_id", "")
        path = scope["path"]
        send = Translating(send, lambda status, body: self._engine.refusal(path, status, body), request_id)
        seen = path in self._readying.paths
        if self._whole_answers_cancel and self._model is None and not self._ignored and not seen:
            await self._relay(scope, receive, send, path=self._there(path), request_id=request_id)
            return
        raw = await read_body(receive, scope, self._max_body)
        fields = routing_fields(raw)
        body = msgspec.json.decode(raw)
        refuse_ignored(body, self._ignored)
        async with self._readying.request(path, body) as more:
            if more or self._model is not None:
                body |= more if self._model is None else {**more, "model": self._model}
                raw = msgspec.json.encode(body)
            whole = not fields.stream and not self._whole_answers_cancel
            streamed = as_stream(path, body) if whole else None
            if streamed is None:
                await self._relay(scope, _again(raw, receive), send, path=self._there(path), request_id=request_id)
                return
            await self._whole(scope, receive, send, path, {**streamed, **self._stream_fields}, request_id)

    def _there(self, path: str) -> str:
        """What a route is called at the server."""
        return self._prefix + path.removeprefix(_PREFIX)

    async def _whole(
        self, scope: Scope, receive: Receive, send: Send, path: str, streamed: dict[str, Any], request_id: str
    ) -> None:
        """A whole answer by way of a stream; a client that leaves ends it."""
        try:
            status, headers, body = await unless_gone(receive, self._assembled(scope, path, streamed, request_id))
        except CancelledByCallerError:
            return
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _assembled(
        self, scope: Scope, path: str, streamed: dict[str, Any], request_id: str
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body; what the engine refuses is passed on as it is."""
        async with self._exchange(path, scope["headers"], streamed, request_id) as response:
            chunks = _chunks(response)
            if is_event_stream(response.headers):
                body = msgspec.json.encode(await assemble(path, chunks))
                headers = [(b"content-type", b"application/json")]
            else:
                body = b"".join([chunk async for chunk in chunks])
                headers = [header for header in response.headers if header[0] == b"content-type"]
            return response.status, [*headers, (b"content-length", str(len(body)).encode())], body

    @contextlib.asynccontextmanager
    async def _exchange(
        self, path: str, headers: Iterable[tuple[bytes, bytes]], body: dict[str, Any], request_id: str
    ) -> AsyncIterator[UpstreamResponse]:
        """One request to the engine; an answer that is left before its end is cancelled there.

        Raises:
            WorkerFailedError: the engine does not answer, breaks off, or sends what is no answer.
        """
        if self._target is None:
            raise WorkerFailedError("The engine is not loaded.")
        named = [(b"x-request-id", request_id.encode("latin-1"))]
        message = request_bytes(self._there(path), client_head(headers), msgspec.json.encode(body), self._target, named)
        try:
            exchange = await self._pool.request(self._target, message)
        except UpstreamError as error:
            raise WorkerFailedError(f"The engine of worker {self._worker_id!r} does not answer: {error}.") from error
        try:
            yield exchange.response
        except (msgspec.DecodeError, AttributeError, TypeError) as error:
            log.exception("the engine of worker %s does not speak as it should", self._worker_id)
            raise WorkerFailedError(
                f"The engine of worker {self._worker_id!r} sent what is no answer; the worker's log has the details."
            ) from error
        except UpstreamError as error:
            raise WorkerFailedError(f"The engine of worker {self._worker_id!r} broke off: {error}.") from error
        finally:
            # An answer that is not complete closes the line here, which is how the engine learns of a cancellation.
            self._pool.done(exchange)

    async def infer(self, request: InferRequest, request_id: str) -> AsyncGenerator[InferDelta]:
        path, body = openai_request(request, self._model or self._spec.model_id)
        headers = ((b"content-type", b"application/json"), (b"accept", b"text/event-stream"))
        async with self._readying.request(path, body) as more:
            sent = {**body, **self._stream_fields, **more}
            async with self._exchange(path, headers, sent, request_id) as response:
                chunks = _chunks(response)
                if response.status >= _ERRORS:
                    raw = b"".join([chunk async for chunk in chunks])
                    told = self._engine.refusal(path, response.status, raw)
                    raise told or refused(response.status, raw, f"The engine of worker {self._worker_id!r}")
                async with contextlib.aclosing(deltas_of(chunks)) as deltas:
                    async for delta in deltas:
                        yield delta


def _target(endpoint: Endpoint) -> Target:
    parts = urllib.parse.urlsplit(endpoint.url)
    headers = tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in endpoint.headers)
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    return Target(host=parts.hostname or "127.0.0.1", port=port, headers=headers, tls=tls)


def _render(error: RbeeError, request_id: str) -> tuple[int, tuple[tuple[bytes, bytes], ...], bytes]:
    answer = render(error, openai=True, correlation_id=request_id)
    return answer.status, answer.headers, answer.body


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that has been taken in, for somebody else to take in."""
    pending = [body]

    async def again() -> dict[str, Any]:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return again


async def _chunks(response: Any) -> AsyncIterator[bytes]:
    while (chunk := await response.read()) is not None:
        yield chunk
