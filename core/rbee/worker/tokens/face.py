"""A token engine in the hands of the worker host."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from types import MappingProxyType

import msgspec

from rbee.contract.engine import EngineStatus, StageReport
from rbee.contract.errors import CancelledByCallerError, MethodNotAllowedError, NotFoundError, WorkerNotReadyError
from rbee.contract.token_engine import TokenEngine
from rbee.contract.tokenizer import Tokenizer
from rbee.contract.types import Capability, LoadSpec
from rbee.contract.wire import InferRequest
from rbee.http.errors import public_error
from rbee.worker.face import EngineFace, InferDelta, Receive, Scope, Send
from rbee.worker.offers import offered
from rbee.worker.tokens.answer import Answers, Piece
from rbee.worker.tokens.ask import Ask
from rbee.worker.tokens.exchange import Exchange, client_gone
from rbee.worker.tokens.infer import ask_of
from rbee.worker.tokens.lanes import Job
from rbee.worker.tokens.openai import ChatRenderer, CompletionRenderer, Renderer, models
from rbee.worker.tokens.preparing import Prepared, Preparing
from rbee.worker.tokens.probabilities import Probabilities
from rbee.worker.tokens.requests import parse_chat, parse_completion
from rbee.worker.tokens.running import Running, Telling
from rbee.worker.tokens.scheduler import Scheduler


class _Route(msgspec.Struct, frozen=True):
    """A route that generates text."""

    parse: Callable[[bytes], Ask]
    renderer: type[Renderer]


_GENERATE = MappingProxyType(
    {
        "/v1/chat/completions": _Route(parse_chat, ChatRenderer),
        "/v1/completions": _Route(parse_completion, CompletionRenderer),
    }
)
_MODELS = "/v1/models"


_LARGE = 16 * 1024
"""Bytes of a request from which it is prepared in a thread: its template and its tokens take milliseconds."""


class TokenFace(EngineFace):
    """Does for a `TokenEngine` all that clients see: templates, tools, the queue, OpenAI's shapes, streams, usage.

    Args:
        engine: not loaded yet; from now on only its own thread calls it.
        spec: what to load.
        max_body: bytes a request may have.
        max_waiting: requests that may wait for a slot before more are refused.
    """

    def __init__(self, engine: TokenEngine, spec: LoadSpec, *, max_body: int, max_waiting: int = 64) -> None:
        self._max_body = max_body
        self._spec = spec
        self._engine_capabilities = offered(engine.capabilities, spec.variant)
        self._sampling = engine.sampling
        self._scheduler = Scheduler(engine, spec, max_waiting=max_waiting)
        self._context_length: int | None = None
        self._loaded_at = 0
        self._preparing: Preparing | None = None
        self._tokenizer: Tokenizer | None = None

    async def start(self, report: StageReport) -> int | None:
        """Load; see `Scheduler.start`."""
        model = await self._scheduler.start(report)
        self._preparing = Preparing(model, self._engine_capabilities, self._sampling)
        self._tokenizer = model.tokenizer
        self._context_length = model.context_length
        self._loaded_at = int(time.time())
        return self._context_length

    def capabilities(self, offered: frozenset[str]) -> frozenset[str]:
        """What the engine can do with the model that it has loaded: not every one has a template, or calls tools."""
        return offered if self._preparing is None else self._preparing.capabilities

    async def stop(self) -> None:
        """End all requests and unload; see `Scheduler.stop`."""
        await self._scheduler.stop()

    async def status(self) -> EngineStatus:
        """Load figures, as the scheduler counts them."""
        return self._scheduler.status()

    def alive(self) -> bool:
        """False once a step of the engine has raised."""
        return self._scheduler.alive()

    async def openai(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the chat, completions and models routes, also under ``/openai``."""
        exchange = Exchange(scope, receive, send)
        path = str(scope["path"]).removeprefix("/openai")
        try:
            if path == _MODELS:
                _check_method(scope, "GET")
                await exchange.respond(models(self._spec.model_id, self._loaded_at, self._context_length))
            elif path in _GENERATE:
                _check_method(scope, "POST")
                await self._generate(_GENERATE[path], exchange)
            else:
                raise NotFoundError(f"There is no route {path!r} here; GET /v1/models says what is served.")
        except CancelledByCallerError:
            return  # nobody is left to tell
        except Exception as error:
            try:
                await exchange.fail(public_error(error, where=path))
            except CancelledByCallerError:
                return

    async def infer(self, request: InferRequest, request_id: str) -> AsyncGenerator[InferDelta]:
        """Answer a ``/v1/infer`` request; closing the iterator cancels it in the engine.

        Raises:
            InvalidRequestError: not for this model, or a message is malformed.
            RbeeError: as `Scheduler.submit`, and what ended the request in the engine.
        """
        ask = ask_of(request, chat=Capability.CHAT in self.capabilities(self._engine_capabilities))
        with self._running(await self._prepared(ask, request_id), request_id) as running:
            async for piece in running.answers:
                if piece.finish is not None:
                    yield InferDelta(text=piece.content, stop_reason=_stop_reason(piece), tokens=running.answers.tokens)
                elif piece.content:
                    yield InferDelta(text=piece.content)

    async def _generate(self, route: _Route, exchange: Exchange) -> None:
        came = time.monotonic()
        body = await exchange.body(self._max_body)
        ask = route.parse(body)
        answer_id = f"{route.renderer.prefix}{uuid.uuid4().hex}"
        prepared = await self._prepared(ask, answer_id, large=len(body) > _LARGE)
        renderer = route.renderer(
            answer_id,
            int(time.time()),
            ask.model or self._spec.model_id,
            include_usage=ask.include_usage,
            tell_usage=exchange.wants_usage,
            probabilities=self._probabilities(ask),
        )
        with self._running(prepared, answer_id) as running:
            telling = Telling(running, renderer, exchange, came, progress=ask.progress)
            async with exchange.watched(lambda: running.end(client_gone())):
                await (telling.stream if ask.stream else telling.whole)()

    async def _prepared(self, ask: Ask, name: str, *, large: bool = False) -> list[Prepared]:
        if self._preparing is None:
            raise WorkerNotReadyError(f"{self._spec.model_id!r} is not loaded here; try again later.")
        # A grammar's first use looks at the whole vocabulary.
        if large or ask.structure is not None or ask.calling.must:
            return await asyncio.to_thread(self._preparing.prepare, ask, name)
        return self._preparing.prepare(ask, name)

    def _running(self, prepared: list[Prepared], group: str) -> Running:
        answers = Answers([one.reading for one in prepared])
        jobs = [
            Job(one.request, answer, ends=one.ends, group=group)
            for one, answer in zip(prepared, answers.all, strict=True)
        ]
        return Running(self._scheduler, jobs, answers, [one.number for one in prepared])

    def _probabilities(self, ask: Ask) -> Probabilities | None:
        tokenizer, asked = self._tokenizer, ask.top_logprobs
        if tokenizer is None or asked is None:
            return None
        return Probabilities(tokenizer, asked)


def _check_method(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        raise MethodNotAllowedError(f"{scope['path']!r} takes {method}, not {scope['method']}.")


def _stop_reason(piece: Piece) -> str:
    if piece.finish == "length":
        return "MAX_TOKENS"
    return "STOP_SEQUENCE" if piece.stop is not None else "EOS"
