"""The OpenAI routes of a worker, as far as the contract binds them.  A worker may say more, and take more.

Format: https://platform.openai.com/docs/api-reference; reranking as Jina and Cohere have it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

FinishReason = Literal["stop", "length", "tool_calls", "function_call", "content_filter"]


class OpenAiErrorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An error as OpenAI's clients read it.

    Attributes:
        message: what, which thing, what to do next.
        type: ``invalid_request_error`` and the like.
        param: the offending parameter.
        code: an error code in lower case.
    """

    message: str
    type: str
    param: str | None
    code: str | int | None


class OpenAiErrorEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """Body of every refusal and failure on the OpenAI routes; also the last event of a stream that broke off."""

    error: OpenAiErrorFacts


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model in ``GET /v1/models``."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelEntries(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /v1/models``: the worker's one model."""

    object: Literal["list"]
    data: list[ModelEntry]


class OpenAiUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of a request; the total is their sum."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TopLogprob(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was likely.

    Attributes:
        token: its text.
        logprob: natural logarithm of its probability, at most 0.
        bytes: its UTF-8 bytes, for a token that is no whole character.
    """

    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(msgspec.Struct, frozen=True, kw_only=True):
    """A token of the answer.

    Attributes:
        token: its text.
        logprob: natural logarithm of its probability, at most 0.
        bytes: its UTF-8 bytes.
        top_logprobs: the likeliest, as many as were asked for.
    """

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] = msgspec.field(default_factory=list)


class ChatLogprobs(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities of the tokens of an answer."""

    content: list[TokenLogprob] | None = None


class FunctionCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool; `arguments` is JSON in a string.  In a stream a part of it."""

    name: str | None = None
    arguments: str | None = None


class ChatToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool.  In a stream, `index` says which call a part belongs to, and `id` comes with its first."""

    id: str | None = None
    type: str | None = None
    index: int | None = None
    function: FunctionCall = FunctionCall()


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What the assistant says."""

    role: Literal["assistant"]
    content: str | None
    reasoning_content: str | None = None
    tool_calls: list[ChatToolCall] | None = None


class ChatChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the answers asked for."""

    index: int
    message: ChatMessage
    finish_reason: FinishReason
    logprobs: ChatLogprobs | None = None


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whole answer of ``POST /v1/chat/completions``."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: OpenAiUsage


class ChatDelta(msgspec.Struct, frozen=True, kw_only=True):
    """What is new in the assistant's message."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ChatToolCall] | None = None


class ChatChunkChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What is new in one of the answers; `finish_reason` stands in its last chunk."""

    index: int
    delta: ChatDelta
    finish_reason: FinishReason | None = None
    logprobs: ChatLogprobs | None = None


class ChatChunk(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a streamed ``POST /v1/chat/completions``; the last of all is ``[DONE]``."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: OpenAiUsage | None = None


class CompletionChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the answers asked for, or what is new in it; `finish_reason` stands in its last chunk."""

    index: int
    text: str
    finish_reason: FinishReason | None


class CompletionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whole answer of ``POST /v1/completions``, and an event of a streamed one, which ends with ``[DONE]``."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: OpenAiUsage | None = None


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """The vector of one input; in base64 for ``encoding_format: base64``."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of the inputs."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``POST /v1/embeddings``: a vector for each input, in their order."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class RerankResult(msgspec.Struct, frozen=True, kw_only=True):
    """How well a document answers; `index` is its place in the request."""

    index: int
    relevance_score: float


class RerankAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``POST /v1/rerank``: the best document first."""

    results: list[RerankResult]


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Options of a streamed answer: a last chunk with the figures of usage and no choices."""

    include_usage: bool | None = None


class _Generation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the two generating routes take alike."""

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None


class ChatAsk(_Generation, frozen=True, kw_only=True, omit_defaults=True):
    """Body of ``POST /v1/chat/completions``.

    Whatever the worker does not support it refuses with 400 and the parameter's name.  `tools`, `tool_choice` belong
    to the capability ``tools``, `response_format` with a schema to ``json_schema``, `logprobs` and `top_logprobs` to
    ``logprobs``.
    """

    messages: list[dict[str, Any]]
    max_completion_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class CompletionAsk(_Generation, frozen=True, kw_only=True, omit_defaults=True):
    """Body of ``POST /v1/completions``; what is not supported is refused with 400 and the parameter's name."""

    prompt: str | list[str]


class EmbeddingAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of ``POST /v1/embeddings``."""

    input: str | list[str]
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None


class RerankAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of ``POST /v1/rerank``; `top_n` is how many results are wanted."""

    query: str
    documents: list[str]
    model: str | None = None
    top_n: int | None = None
