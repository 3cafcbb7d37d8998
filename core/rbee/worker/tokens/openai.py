"""Answers in the shapes of OpenAI's API, whole and in chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import msgspec

from rbee.contract.errors import RbeeError
from rbee.http.errors import openai_error
from rbee.worker.tokens.answer import Piece

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


def sse(value: Any) -> bytes:
    """`value` as one event of a stream."""
    return b"data: " + _encode(value) + b"\n\n"


def error_event(error: RbeeError) -> bytes:
    """An error as the last event of a stream that has begun."""
    return sse(openai_error(error))


def usage(prompt_tokens: int | None, completion_tokens: int) -> dict[str, int]:
    """The figures of usage; a prompt that the engine did not count is 0, for the schema has no null."""
    prompt = prompt_tokens or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt + completion_tokens,
    }


def models(model_id: str, created: int, context_length: int | None) -> bytes:
    """Body of ``GET /v1/models``."""
    card = {
        "id": model_id,
        "object": "model",
        "created": created,
        "owned_by": "rbee",
        "context_length": context_length,
    }
    return _encode({"object": "list", "data": [card]})


class Renderer(ABC):
    """Writes one answer.

    Args:
        answer_id: starts with the route's prefix.
        created: Unix time in seconds.
        model: name that the client asked for.
        include_usage: chunks carry the field `usage`, null in all but the last.
        tell_usage: where they do not, a comment at the end tells it, for a gateway.
    """

    prefix: ClassVar[str]
    whole_object: ClassVar[str]
    chunk_object: ClassVar[str]
    delta_head: ClassVar[bytes]
    delta_tail: ClassVar[bytes]

    def __init__(
        self, answer_id: str, created: int, model: str, *, include_usage: bool = False, tell_usage: bool = False
    ) -> None:
        self._tell_usage = tell_usage
        self._head = {"id": answer_id, "created": created, "model": model}
        self._include_usage = include_usage
        # A chunk a token: everything but the text is encoded once.
        fixed = _encode({**self._head, "object": self.chunk_object})
        self._before = b"data: " + fixed[:-1] + b',"choices":[' + self.delta_head
        self._after = self.delta_tail + (b'],"usage":null}\n\n' if include_usage else b"]}\n\n")

    @abstractmethod
    def whole_choice(self, text: str, end: Piece) -> dict[str, Any]:
        """The one choice of a whole answer."""

    @abstractmethod
    def last_choice(self, end: Piece) -> dict[str, Any]:
        """The one choice of the chunk that ends an answer."""

    def first(self) -> bytes:
        """What a stream begins with."""
        return b""

    def delta(self, text: str) -> bytes:
        """A chunk with new text; nothing when there is none."""
        return self._before + _encode(text) + self._after if text else b""

    def last(self, end: Piece, prompt_tokens: int | None, tokens: int) -> bytes:
        """The end of a stream: why it ended, usage where asked for, and the mark of the end."""
        last = self._chunk([self.last_choice(end)], None)
        if self._include_usage:
            last += self._chunk([], usage(prompt_tokens, tokens))
        elif self._tell_usage:
            told = {"prompt_tokens": prompt_tokens, "completion_tokens": tokens}
            last += b": rbee-usage " + _encode(told) + b"\n\n"
        return last + DONE

    def whole(self, text: str, end: Piece, prompt_tokens: int | None, tokens: int) -> bytes:
        """The body of an answer that is not streamed."""
        choices = [self.whole_choice(text, end)]
        figures = usage(prompt_tokens, tokens)
        return _encode({**self._head, "object": self.whole_object, "choices": choices, "usage": figures})

    def _chunk(self, choices: list[dict[str, Any]], figures: dict[str, int] | None) -> bytes:
        chunk: dict[str, Any] = {**self._head, "object": self.chunk_object, "choices": choices}
        if self._include_usage:
            chunk["usage"] = figures
        return sse(chunk)


class ChatRenderer(Renderer):
    """Answers of ``/v1/chat/completions``."""

    prefix = "chatcmpl-"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"
    delta_head = b'{"index":0,"delta":{"content":'
    delta_tail = b'},"logprobs":null,"finish_reason":null}'

    def first(self) -> bytes:
        """The chunk that says who speaks."""
        delta = {"role": "assistant", "content": ""}
        return self._chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}], None)

    def whole_choice(self, text: str, end: Piece) -> dict[str, Any]:
        """The one choice of a whole answer."""
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": 0, "message": message, "logprobs": None, **_why(end)}

    def last_choice(self, end: Piece) -> dict[str, Any]:
        """The one choice of the chunk that ends an answer."""
        return {"index": 0, "delta": {}, "logprobs": None, **_why(end)}


class CompletionRenderer(Renderer):
    """Answers of ``/v1/completions``."""

    prefix = "cmpl-"
    whole_object = "text_completion"
    chunk_object = "text_completion"
    delta_head = b'{"index":0,"text":'
    delta_tail = b',"logprobs":null,"finish_reason":null}'

    def whole_choice(self, text: str, end: Piece) -> dict[str, Any]:
        """The one choice of a whole answer."""
        return {"index": 0, "text": text, "logprobs": None, **_why(end)}

    def last_choice(self, end: Piece) -> dict[str, Any]:
        """The one choice of the chunk that ends an answer."""
        return self.whole_choice("", end)


def _why(end: Piece) -> dict[str, Any]:
    # `stop_reason` is vLLM's addition: the stop string, which Anthropic's API tells its clients.
    return {"finish_reason": end.finish, "stop_reason": end.stop}
