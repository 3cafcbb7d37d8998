"""From OpenAI's answer to Anthropic's.

Events: https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec

from rbee.doors.chat import Ending, Usage, Whole
from rbee.doors.refusal import Refusal, anthropic_body
from rbee.doors.writing import Writer

_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "stop": "end_turn",
        "length": "max_tokens",
        "tool_calls": "tool_use",
        "function_call": "tool_use",
        "content_filter": "refusal",
    }
)

_encode = msgspec.json.Encoder().encode


def message_of(whole: Whole, message_id: str, model: str) -> bytes:
    """A whole answer.

    Args:
        whole: what the worker answered.
        message_id: of the message.
        model: as the client named it.

    Raises:
        WorkerFailedError: a tool was called with what is no JSON object.
    """
    content: list[dict[str, Any]] = []
    if whole.thought:
        content.append({"type": "thinking", "thinking": whole.thought, "signature": ""})
    if whole.text:
        content.append({"type": "text", "text": whole.text})
    content += [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.values()} for call in whole.calls]
    message = _message(message_id, model, content, _usage(whole.ending.usage))
    return _encode({**message, **_reason(whole.ending)})


def _message(message_id: str, model: str, content: list[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _reason(ending: Ending) -> dict[str, Any]:
    reason = _REASONS.get(ending.finish, "end_turn")
    if ending.called and reason == "end_turn":
        reason = "tool_use"
    if ending.stop is not None and reason == "end_turn":
        return {"stop_reason": "stop_sequence", "stop_sequence": ending.stop}
    return {"stop_reason": reason, "stop_sequence": None}


def _usage(usage: Usage) -> dict[str, Any]:
    """Figures; Anthropic counts what came from a cache apart from the other input."""
    if usage.cached is None or usage.prompt_tokens is None:
        return {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
    return {
        "input_tokens": max(0, usage.prompt_tokens - usage.cached),
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion_tokens,
    }


def event(kind: str, **fields: Any) -> bytes:
    """One event of a stream."""
    return b"event: " + kind.encode() + b"\ndata: " + _encode({"type": kind, **fields}) + b"\n\n"


class MessageWriter(Writer):
    """Writes a streamed message: one content block after the other.

    Args:
        message_id: of the message.
        model: as the client named it.
    """

    media_type: ClassVar[bytes] = b"text/event-stream; charset=utf-8"
    ping: ClassVar[bytes | None] = event("ping")

    def __init__(self, message_id: str, model: str) -> None:
        self._message_id = message_id
        self._model = model
        self._index = -1
        self._open: str | None = None

    def begin(self) -> bytes:
        """``message_start``; how many tokens the prompt has comes with ``message_delta``."""
        usage = {"input_tokens": 0, "output_tokens": 0}
        return event("message_start", message=_message(self._message_id, self._model, [], usage))

    def thought(self, text: str) -> bytes:
        """A part of a block of thoughts."""
        block = {"type": "thinking", "thinking": "", "signature": ""}
        return self._block("thinking", block) + self._delta({"type": "thinking_delta", "thinking": text})

    def text(self, text: str, logprobs: list[dict[str, Any]] | None) -> bytes:
        """A part of a block of text."""
        if not text:
            return b""
        block = {"type": "text", "text": ""}
        return self._block("text", block) + self._delta({"type": "text_delta", "text": text})

    def call(self, call_id: str, name: str) -> bytes:
        """A new block for a call of a tool."""
        block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        return self._close() + self._block("tool_use", block)

    def arguments(self, part: str) -> bytes:
        """A part of its arguments."""
        return self._delta({"type": "input_json_delta", "partial_json": part})

    def end(self, ending: Ending) -> bytes:
        """Why it ended, the figures, and the end."""
        told = event("message_delta", delta=_reason(ending), usage=_usage(ending.usage))
        return self._close() + told + event("message_stop")

    def fail(self, refusal: Refusal) -> bytes:
        """An error, behind which nothing comes."""
        return event("error", error=anthropic_body(refusal)["error"])

    def _block(self, kind: str, block: dict[str, Any]) -> bytes:
        """The start of a block, unless one of the kind is open."""
        if self._open == kind:
            return b""
        closed = self._close()
        self._open = kind
        self._index += 1
        return closed + event("content_block_start", index=self._index, content_block=block)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return event("content_block_delta", index=self._index, delta=delta)

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return event("content_block_stop", index=self._index)
