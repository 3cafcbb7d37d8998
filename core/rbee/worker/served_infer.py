"""The worker's own `infer` at an engine that speaks OpenAI's API: the request there, and what comes back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from types import MappingProxyType
from typing import Any

import msgspec

from rbee.clients.sse import decode
from rbee.contract.errors import (
    AllSlotsBusyError,
    InvalidRequestError,
    RbeeError,
    RequestTimeoutError,
    UnavailableError,
    WorkerFailedError,
)
from rbee.contract.wire import InferRequest
from rbee.worker.face import InferDelta

_STOP_REASONS = MappingProxyType({"length": "MAX_TOKENS", "stop": "EOS", "tool_calls": "EOS"})
_CREDENTIALS = frozenset({401, 403})
_THE_CALLERS = frozenset({400, 413, 422})
_LONGEST = 500
"""Characters of a server's own words."""


def openai_request(request: InferRequest, model_id: str) -> tuple[str, dict[str, Any]]:
    """OpenAI route without prefix, and the body for it."""
    body: dict[str, Any] = {"model": model_id, "stream": True, "stream_options": {"include_usage": True}}
    for name in ("max_tokens", "temperature", "top_p", "top_k", "seed", "stop"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.raw and request.prompt is not None:
        return "/v1/completions", {**body, "prompt": request.prompt}
    messages = request.messages or [{"role": "user", "content": request.prompt}]
    return "/v1/chat/completions", {**body, "messages": messages}


def refused(status: int, body: bytes, who: str) -> RbeeError:
    """What a server's refusal means for the caller of the worker.

    The server may be anybody's: by its status alone it is told what went wrong, since its codes are its own, and since
    credentials that it does not accept are the worker's and never the caller's.

    Args:
        status: of its answer, from 400 on.
        body: of its answer.
        who: it is, as the beginning of a sentence.
    """
    said = _said(body)
    told = f"{who} answered {status}{': ' + said if said else ' without saying why'}"
    if status in _THE_CALLERS:
        return InvalidRequestError(said or told)
    if status in _CREDENTIALS:
        return WorkerFailedError(f"{told}. It does not accept the credentials that the worker has for it.")
    if status == 429:
        return AllSlotsBusyError(f"{told}. Try again later.")
    if status == 408:
        return RequestTimeoutError(told)
    return UnavailableError(f"{told}. Try again later.") if status == 503 else WorkerFailedError(told)


def _said(body: bytes) -> str:
    """The message in an answer, whichever way it is wrapped; empty when there is none."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    for _ in range(2):
        if isinstance(found, dict):
            found = found.get("error") or found.get("message") or found.get("detail")
    return found[:_LONGEST] if isinstance(found, str) else ""


async def deltas_of(chunks: AsyncIterator[bytes]) -> AsyncGenerator[InferDelta]:
    """An answer's stream of events as the worker tells it.

    Raises:
        WorkerFailedError: the stream says that it failed.
    """
    finish: str | None = None
    tokens: int | None = None
    async for event in decode(chunks):
        if event.data == "[DONE]":
            break
        found = msgspec.json.decode(event.data)
        if "error" in found:
            raise WorkerFailedError(str(found["error"].get("message", "The engine failed.")))
        usage = found.get("usage")
        if usage:
            tokens = usage.get("completion_tokens")
        for choice in found.get("choices", ()):
            text = choice.get("text") or (choice.get("delta") or {}).get("content") or ""
            if text:
                yield InferDelta(text=text)
            finish = choice.get("finish_reason") or finish
    yield InferDelta(stop_reason=_STOP_REASONS.get(finish or "", "ERROR"), tokens=tokens)
