"""The face of an engine that brings its own OpenAI-speaking server: bytes are relayed to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from rbee.builtin.one_thread import OneThread
from rbee.contract.engine import EngineStatus, ServedEngine, StageReport
from rbee.contract.errors import CancelledByCallerError, WorkerFailedError
from rbee.contract.types import LoadSpec
from rbee.contract.wire import InferRequest
from rbee.gateway import read_body, routing_fields
from rbee.gateway.message import is_event_stream
from rbee.worker.assemble import as_stream, assemble
from rbee.worker.face import EngineFace, InferDelta, Receive, Scope, Send
from rbee.worker.leaving import unless_gone
from rbee.worker.readying import Readying
from rbee.worker.served_infer import deltas_of, openai_request
from rbee.worker.served_line import EngineLine, chunks_of
from rbee.worker.served_refusals import refused
from rbee.worker.several import OneUsage, asked
from rbee.worker.tokens.refusals import refuse_ignored
from rbee.worker.translating import Translating

_ERRORS = 400


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
        self._whole_answers_cancel = True
        self._stream_fields: dict[str, Any] = {}
        self._model: str | None = None
        self._readying = Readying(engine)
        self._ignored = engine.ignored_parameters
        self._line: EngineLine | None = None

    async def start(self, report: StageReport) -> int | None:
        endpoint = await self._life.call(self._engine.start, self._spec, report)
        self._whole_answers_cancel = endpoint.whole_answers_cancel
        self._stream_fields = endpoint.stream_fields
        self._model = endpoint.model
        self._readying = Readying(self._engine, endpoint.before)
        self._ignored = self._engine.ignored_parameters | endpoint.ignored_parameters
        self._line = EngineLine(self._worker_id, endpoint, self._max_body)
        return endpoint.context_length

    async def stop(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        self._figures.close()
        try:
            await self._life.call(self._engine.stop)
        finally:
            self._life.close()

    async def status(self) -> EngineStatus:
        return await self._figures.call(self._engine.status)

    def alive(self) -> bool:
        return self._line is not None and self._engine.alive()

    async def openai(self, scope: Scope, receive: Receive, send: Send) -> None:
        line = self._loaded()
        request_id = scope.get("state", {}).get("request_id", "")
        path = scope["path"]
        send = Translating(
            send,
            lambda status, body: self._engine.refusal(path, status, body),
            request_id,
            # Whoever got no thread computes elsewhere.
            elsewhere=self._spec.threads == 0,
        )
        seen = path in self._readying.paths
        if self._whole_answers_cancel and self._model is None and not self._ignored and not seen:
            await line.relay(scope, receive, send, path, request_id)
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
            n, prompts = asked(body)
            if fields.stream and n * prompts > 1:
                send = OneUsage(send, n, prompts)
            if streamed is None:
                await line.relay(scope, _again(raw, receive), send, path, request_id)
                return
            await self._whole(scope, receive, send, path, {**streamed, **self._stream_fields}, request_id)

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
        n, _ = asked(streamed)
        async with self._loaded().exchange(path, scope["headers"], streamed, request_id) as response:
            chunks = chunks_of(response)
            if is_event_stream(response.headers):
                body = msgspec.json.encode(await assemble(path, chunks, n))
                headers = [(b"content-type", b"application/json")]
            else:
                body = b"".join([chunk async for chunk in chunks])
                headers = [header for header in response.headers if header[0] == b"content-type"]
            return response.status, [*headers, (b"content-length", str(len(body)).encode())], body

    async def infer(self, request: InferRequest, request_id: str) -> AsyncGenerator[InferDelta]:
        path, body = openai_request(request, self._model or self._spec.model_id)
        headers = ((b"content-type", b"application/json"), (b"accept", b"text/event-stream"))
        async with self._readying.request(path, body) as more:
            sent = {**body, **self._stream_fields, **more}
            line = self._loaded()
            async with line.exchange(path, headers, sent, request_id) as response:
                chunks = chunks_of(response)
                if response.status >= _ERRORS:
                    raw = b"".join([chunk async for chunk in chunks])
                    # What the engine knows of its server goes first, as for OpenAI's routes.
                    raise self._engine.refusal(path, response.status, raw) or refused(
                        response.status, response.headers, raw, worker_id=self._worker_id, address=line.address
                    )
                async with contextlib.aclosing(deltas_of(chunks)) as deltas:
                    async for delta in deltas:
                        yield delta

    def _loaded(self) -> EngineLine:
        if self._line is None:
            raise WorkerFailedError("The engine is not loaded.")
        return self._line


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that has been taken in, for somebody else to take in."""
    pending = [body]

    async def again() -> dict[str, Any]:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return again
