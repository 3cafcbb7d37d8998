"""The routes of Ollama's API that ask a model."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

import msgspec

from rbee.contract.durations import keep_alive_s
from rbee.contract.errors import InvalidRequestError, ModelNotFoundError
from rbee.contract.wire import WorkerRecord
from rbee.doors.chat import whole_answer
from rbee.doors.models import ModelList, context_of, model_named, workers_of
from rbee.doors.ollama.asking import chat_of, check_keep_alive, embeddings_of, generate_of, load_of
from rbee.doors.ollama.requests import ChatRequest, EmbeddingsRequest, EmbedRequest, GenerateRequest, KeepAlive
from rbee.doors.ollama.telling import Clock, LineWriter, Shape, embedding_of, whole_of
from rbee.doors.ollama.telling import embeddings_of as embeddings_told
from rbee.doors.parsing import parsed, refuse
from rbee.doors.serving import Asked, Translated, Translation
from rbee.doors.writing import Translator

_CHAT = "/v1/chat/completions"
_EMBEDDINGS = "/v1/embeddings"

Headers = tuple[tuple[bytes, bytes], ...]


class Chat(Translation):
    """``POST /api/chat``.

    Args:
        models: the colony's, for `num_ctx`.
    """

    def __init__(self, models: ModelList) -> None:
        self._models = models

    async def translate(self, asked: Asked) -> Translated:
        """A chat."""
        clock = Clock()
        request = parsed(asked.body, ChatRequest)
        shape = Shape(request.model, clock, chat=True)
        fits = await _fits(self._models, request.model, request.options.num_ctx, asked)
        if not request.messages:
            return await _load(self._models, request, asked, shape, fits)
        headers = _keeping(request.keep_alive)
        return _text(_CHAT, msgspec.json.encode(chat_of(request)), shape, fits, headers, stream=request.stream)


class Generate(Translation):
    """``POST /api/generate``.

    Args:
        models: the colony's, for `num_ctx`.
    """

    def __init__(self, models: ModelList) -> None:
        self._models = models

    async def translate(self, asked: Asked) -> Translated:
        """A prompt as a chat of one message or, if it is raw, as a completion."""
        clock = Clock()
        request = parsed(asked.body, GenerateRequest)
        shape = Shape(request.model, clock, chat=False)
        path, body = generate_of(request)
        fits = await _fits(self._models, request.model, request.options.num_ctx, asked)
        if not request.prompt and not request.images and not request.system:
            return await _load(self._models, request, asked, shape, fits)
        headers = _keeping(request.keep_alive)
        return _text(path, msgspec.json.encode(body), shape, fits, headers, stream=request.stream)


class Embed(Translation):
    """``POST /api/embed``.

    Args:
        models: the colony's, for `num_ctx`.
    """

    def __init__(self, models: ModelList) -> None:
        self._models = models

    async def translate(self, asked: Asked) -> Translated:
        """Embeddings of texts."""
        clock = Clock()
        request = parsed(asked.body, EmbedRequest)
        body = msgspec.json.encode(embeddings_of(request))
        return Translated(
            path=_EMBEDDINGS,
            body=body,
            whole=lambda answer: embeddings_told(answer, request.model, clock),
            on_answer=await _fits(self._models, request.model, request.options.num_ctx, asked),
            headers=_keeping(request.keep_alive),
        )


class Embeddings(Translation):
    """``POST /api/embeddings``.

    Args:
        models: the colony's, for `num_ctx`.
    """

    def __init__(self, models: ModelList) -> None:
        self._models = models

    async def translate(self, asked: Asked) -> Translated:
        """The embedding of one text."""
        request = parsed(asked.body, EmbeddingsRequest)
        body = msgspec.json.encode(embeddings_of(request))
        fits = await _fits(self._models, request.model, request.options.num_ctx, asked)
        headers = _keeping(request.keep_alive)
        return Translated(path=_EMBEDDINGS, body=body, whole=embedding_of, on_answer=fits, headers=headers)


def _text(
    path: str, body: bytes, shape: Shape, fits: Callable[[], None], headers: Headers, *, stream: bool
) -> Translated:
    answer_id = uuid.uuid4().hex
    return Translated(
        path=path,
        body=body,
        whole=lambda answer: whole_of(whole_answer(answer, answer_id), shape),
        stream=Translator(LineWriter(shape), answer_id) if stream else None,
        on_answer=fits,
        headers=headers,
    )


async def _load(
    models: ModelList, request: ChatRequest | GenerateRequest, asked: Asked, shape: Shape, fits: Callable[[], None]
) -> Translated:
    """A request without a prompt: the model is loaded, or unloaded where it shall not be kept.

    To be loaded it is asked for a single token, which says how long it is to stay.  Nobody loads a model to have it
    unloaded.
    """
    headers = _keeping(request.keep_alive)
    unloads = bool(headers) and headers[0][1] == b"0"
    told = shape.loaded(unloads=unloads) + b"\n"
    body = msgspec.json.encode(load_of(request.model))
    if unloads:
        models.expire(request.model, trusted=asked.trusted)
        return Translated(path=_CHAT, body=body, whole=lambda _: told, done=told)
    return Translated(path=_CHAT, body=body, whole=lambda _: told, on_answer=fits, headers=headers)


def _keeping(value: KeepAlive | None) -> Headers:
    """How long the model is to stay, as the gateway is told it.

    Raises:
        InvalidRequestError: it is no span of time.
    """
    check_keep_alive(value)
    if value is None:
        return ()
    try:
        seconds = keep_alive_s(value)
    except ValueError as error:
        raise refuse("keep_alive", str(error)) from error
    return ((b"x-rbee-keep-alive", f"{seconds:g}".encode()),)


async def _fits(models: ModelList, name: str, num_ctx: int | None, asked: Asked) -> Callable[[], None]:
    """Refuses a context that the model's workers do not have: now if they are there, else when one has answered.

    Raises:
        InvalidRequestError: it is larger than theirs.
    """
    if num_ctx is None:
        return _anything
    try:
        model = await model_named(models, name, trusted=asked.trusted)
    except ModelNotFoundError:
        # A name that is not listed may be known all the same; the gateway says.
        model = {"id": name, "rbee": {"model_id": name}}

    def check() -> None:
        _check_context(workers_of(models.workers(), model), name, num_ctx)

    if context_of(workers_of(models.workers(), model)) is not None:
        check()
    return check


def _check_context(workers: Sequence[WorkerRecord], name: str, num_ctx: int) -> None:
    context = context_of(workers)
    if context is None or num_ctx > context:
        has = "does not tell how much it has" if context is None else f"has {context} tokens"
        raise InvalidRequestError(
            f"The parameter 'options.num_ctx' asks for {num_ctx} tokens of context, and {name!r} as it is loaded "
            f"{has}. Leave it out, or load the model with more: rbee load {name} --context {num_ctx}",
            param="options.num_ctx",
        )


def _anything() -> None:
    """No context was asked for."""
