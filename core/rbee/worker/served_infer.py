"""The worker's own `infer` at an engine that speaks OpenAI's API: the request there, and what comes back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from types import MappingProxyType
from typing import Any

import msgspec

from rbee.clients.sse import decode
from rbee.contract.errors import WorkerFailedError
from rbee.contract.wire import InferRequest
from rbee.worker.face import InferDelta
from rbee.worker.served_refusals import message_in

_STOP_REASONS = MappingProxyType({"length": "MAX_TOKENS", "stop": "EOS", "tool_calls": "EOS"})


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
        # Some servers say with each event that there is none.
        if found.get("error"):
            raise WorkerFailedError(message_in(found) or "The engine failed.")
        usage = found.get("usage")
        if usage:
            tokens = usage.get("completion_tokens")
        for choice in found.get("choices", ()):
            text = choice.get("text") or (choice.get("delta") or {}).get("content") or ""
            if text:
                yield InferDelta(text=text)
            finish = choice.get("finish_reason") or finish
    yield InferDelta(stop_reason=_STOP_REASONS.get(finish or "", "ERROR"), tokens=tokens)
