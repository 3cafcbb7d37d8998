"""A token engine in the hands of the worker host."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Callable
from types import MappingProxyType

import msgspec

from rbee.contract.engine import EngineStatus, StageReport, TokenEngine
from rbee.contract.errors import CancelledByCallerError, InvalidRequestError, MethodNotAllowedError, NotFoundError
from rbee.contract.types import Capability, LoadSpec
from rbee.contract.wire import InferRequest
from rbee.http.errors import public_error
from rbee.worker.face import EngineFace, InferDelta, Receive, Scope, Send
from rbee.worker.offers import offered
from rbee.worker.tokens.answer import Answer, Piece
from rbee.worker.tokens.exchange import Exchange, client_gone
from rbee.worker.tokens.infer import ask_of
from rbee.worker.tokens.openai import ChatRenderer, CompletionRenderer, Renderer, models
from rbee.worker.tokens.requests import Ask, parse_chat, parse_completion
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


class TokenFace(EngineFace):
    """Does for a `TokenEngine` all that clients see: queue, stop strings, OpenAI's shapes, streams, usage.

    Args:
        engine: not loaded yet; from now on only its own thread calls it.
        spec: what to load.
        max_body: bytes a request may have.
        max_waiting: requests that may wait for a slot before more are refused.
    """

    def __init__(self, engine: TokenEngine, spec: LoadSpec, *, max_body: int, max_waiting: int = 64) -> None:
        self._max_body = max_body
        self._spec = spec
        self._capabilities = offered(engine.capabilities, spec.variant)
        self._scheduler = Scheduler(engine, spec, max_waiting=max_waiting)
        self._context_length: int | None = None
        self._loaded_at = 0

    async def start(self, report: StageReport) -> int | None:
        """Load; see `Scheduler.start`."""
        self._context_length = await self._scheduler.start(report)
        self._loaded_at = int(time.time())
        return self._context_length

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
        ask = ask_of(request, chat=Capability.CHAT in self._capabilities)
        answer = Answer(ask.stop)
        # Clients choose their ids, and two may choose the same one; the engine gets one of our own.
        job = self._scheduler.submit(ask.token_request(f"{request_id}-{uuid.uuid4().hex}"), answer)
        try:
            async for piece in answer:
                if piece.finish is not None:
                    yield InferDelta(text=piece.text, stop_reason=_stop_reason(piece), tokens=answer.tokens)
                elif piece.text:
                    yield InferDelta(text=piece.text)
        finally:
            self._scheduler.cancel(job)

    async def _generate(self, route: _Route, exchange: Exchange) -> None:
        ask = route.parse(await exchange.body(self._max_body))
        if ask.continues and Capability.CONTINUATION not in self._capabilities:
            raise InvalidRequestError(
                "This worker's engine cannot go on with a message that has begun; leave 'continue_final_message' out.",
                param="continue_final_message",
            )
        renderer = route.renderer(
            answer_id := f"{route.renderer.prefix}{uuid.uuid4().hex}",
            int(time.time()),
            ask.model or self._spec.model_id,
            include_usage=ask.include_usage,
            tell_usage=exchange.wants_usage,
        )
        answer = Answer(ask.stop)
        job = self._scheduler.submit(ask.token_request(answer_id), answer)

        def gone() -> None:
            self._scheduler.cancel(job)
            answer.fail(client_gone())

        try:
            async with exchange.watched(gone):
                await (_stream if ask.stream else _whole)(answer, renderer, exchange)
        finally:
            self._scheduler.cancel(job)


async def _stream(answer: Answer, renderer: Renderer, exchange: Exchange) -> None:
    """Send an answer as it comes.  Its head waits for the first news: what fails early fails as HTTP."""
    async for piece in answer:
        data = renderer.delta(piece.text)
        if not exchange.begun:
            data = renderer.first() + data
        if piece.finish is not None:
            data += renderer.last(piece, answer.prompt_tokens, answer.tokens)
        if data:
            await exchange.stream(data, end=piece.finish is not None)


async def _whole(answer: Answer, renderer: Renderer, exchange: Exchange) -> None:
    """Send an answer when it is complete."""
    texts: list[str] = []
    async for piece in answer:
        texts.append(piece.text)
        if piece.finish is not None:
            await exchange.respond(renderer.whole("".join(texts), piece, answer.prompt_tokens, answer.tokens))


def _check_method(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        raise MethodNotAllowedError(f"{scope['path']!r} takes {method}, not {scope['method']}.")


def _stop_reason(piece: Piece) -> str:
    if piece.finish == "length":
        return "MAX_TOKENS"
    return "STOP_SEQUENCE" if piece.stop is not None else "EOS"
