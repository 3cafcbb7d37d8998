"""The worker's own inference route, and the record of a finished request."""

from __future__ import annotations

from typing import Any

import msgspec


class InferRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of a worker's ``POST /v1/infer`` and of the queen's job ``infer``.

    Exactly one of `prompt` and `messages`.  A prompt to a chat model is its first user message unless `raw`.
    Bounds: `max_tokens` 1 to 1,000,000; `temperature` 0 to 5; `top_p` above 0 to 1; `top_k` 0 to 100,000.
    """

    model: str | None = None
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    raw: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: list[str] | None = None
    stream: bool = True
    hive_id: str | None = None
    device: str | int | None = None
    worker_id: str | None = None
    request_id: str | None = None


class InferAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whole answer of ``POST /v1/infer``.  `stop_reason`: MAX_TOKENS, EOS, STOP_SEQUENCE, CANCELLED or ERROR."""

    text: str
    tokens_generated: int | None
    duration_ms: int
    stop_reason: str


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One finished inference request, as observers and the access log see it.

    Attributes:
        request_id: of the request.
        path: route asked for; ``/v1/jobs`` for an `infer` job.
        model: name asked for.
        worker_id: who answered, None when nobody did.
        status: HTTP status sent.
        error_code: None when it ended well.
        first_byte_s: seconds to the first byte of the body, None when none came.
        duration_s: seconds in all.
        bytes_out: bytes of the body sent on.
        model_id: canonical name of the worker's model, None when it reached none; bounded in number, unlike `model`.
        hive_id: machine of the worker, None when not known.
        stream: the answer was a stream of events.
        prompt_tokens: tokens of the prompt as the worker counted them, None when it did not tell.
        completion_tokens: tokens of the answer, likewise; of a stream that told nothing, the events with content.
        queue_s: seconds it waited for a place, the loading of the model included.
        first_token_s: seconds from the request's arrival to the first byte of the answer's body.
        attempts: workers to which it was sent.
        continued: another worker took the answer up where the first one broke off.
        cached_tokens: tokens of the prompt that the worker took from a cache, None when it did not tell.
        prompt_s: seconds in which the worker computed the rest of the prompt, as it measured them; None when it did
            not tell.
        decode_s: seconds from the answer's first token to its last, likewise.
        first_text_s: seconds from sending to the first text of a stream, other than who speaks and comments; None when
            there was none, or the client has held the stream up.
        beside: requests that were with the worker already when this one was sent there; None when not known.
    """

    request_id: str
    path: str
    model: str | None
    worker_id: str | None
    status: int
    error_code: str | None
    first_byte_s: float | None
    duration_s: float
    bytes_out: int
    model_id: str | None = None
    hive_id: str | None = None
    stream: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    queue_s: float | None = None
    first_token_s: float | None = None
    attempts: int = 1
    continued: bool = False
    cached_tokens: int | None = None
    prompt_s: float | None = None
    decode_s: float | None = None
    first_text_s: float | None = None
    beside: int | None = None
