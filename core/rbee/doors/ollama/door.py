"""The routes of Ollama's API that ask a model."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence

import msgspec

from rbee.contract.errors import InvalidRequestError, ModelNotFoundError
from rbee.contract.wire import WorkerRecord
from rbee.doors.chat import whole_answer
from rbee.doors.models import ModelList, context_of, model_named, workers_of
from rbee.doors.ollama.asking import chat_of, check_keep_alive, embeddings_of, generate_of, load_of
from rbee.doors.ollama.requests import ChatRequest, EmbeddingsRequest, EmbedRequest, GenerateRequest
from rbee.doors.ollama.telling import Clock, LineWriter, Shape, embedding_of, whole_of
from rbee.doors.ollama.telling import embeddings_of as embeddings_told
from rbee.doors.parsing import parsed, refuse
from rbee.doors.serving import Asked, Translated, Translation
from rbee.doors.writing import Translator

_CHAT = "/v1/chat/completions"
_EMBEDDINGS = "/v1/embeddings"
_DIGIT = re.compile(r"[1-9]")


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
            return _load(request, shape, fits)
        return _text(_CHAT, msgspec.json.encode(chat_of(request)), shape, fits, stream=request.stream)


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
            return _load(request, shape, fits)
        return _text(path, msgspec.json.encode(body), shape, fits, stream=request.stream)


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
        return Translated(path=_EMBEDDINGS, body=body, whole=embedding_of, on_answer=fits)


def _text(path: str, body: bytes, shape: Shape, fits: Callable[[], None], *, stream: bool) -> Translated:
    answer_id = uuid.uuid4().hex
    return Translated(
        path=path,
        body=body,
        whole=lambda answer: whole_of(whole_answer(answer, answer_id), shape),
        stream=Translator(LineWriter(shape), answer_id) if stream else None,
        on_answer=fits,
    )


def _load(request: ChatRequest | GenerateRequest, shape: Shape, fits: Callable[[], None]) -> Translated:
    """A request without a prompt: Ollama loads the model, or unloads it where it shall not be kept."""
    check_keep_alive(request.keep_alive)
    if request.keep_alive is not None and not _DIGIT.search(str(request.keep_alive)):
        raise refuse("keep_alive", "a request does not unload a model; `rbee worker stop` stops its worker")
    body = msgspec.json.encode(load_of(request.model))
    return Translated(path=_CHAT, body=body, whole=lambda _: shape.loaded() + b"\n", on_answer=fits)


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
            f"{has}. Leave it out, or load the model with more: the setting worker.context_length.",
            param="options.num_ctx",
        )


def _anything() -> None:
    """No context was asked for."""
