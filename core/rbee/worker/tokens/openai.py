"""Answers in the shapes of OpenAI's API, whole and in chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from rbee.contract.errors import RbeeError
from rbee.http.errors import openai_error
from rbee.worker.tokens.answer import Piece, Progress
from rbee.worker.tokens.calls import CallDelta
from rbee.worker.tokens.probabilities import Probabilities

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


def sse(value: Any) -> bytes:
    """`value` as one event of a stream."""
    return b"data: " + _encode(value) + b"\n\n"


def error_event(error: RbeeError) -> bytes:
    """An error as the last event of a stream that has begun."""
    return sse(openai_error(error))


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of usage.

    Attributes:
        prompt: tokens of all prompts.
        completion: tokens generated, in all answers.
        cached: of the prompt's, taken from a cache; None where the engine does not tell.
        reasoning: of those generated, reasoning.
        prompt_s: seconds from when the engine took the request up to the first token; None where there are several
            answers.
        decode_s: seconds from the first token to the last, likewise.
    """

    prompt: int
    completion: int
    cached: int | None = None
    reasoning: int = 0
    prompt_s: float | None = None
    decode_s: float | None = None

    def told(self) -> dict[str, Any]:
        """As OpenAI tells it; details only where they are known."""
        figures: dict[str, Any] = {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        }
        if self.cached is not None:
            figures["prompt_tokens_details"] = {"cached_tokens": self.cached}
        if self.reasoning:
            figures["completion_tokens_details"] = {"reasoning_tokens": self.reasoning}
        return figures

    def measured(self) -> dict[str, Any]:
        """As a gateway wants it: tokens, and the milliseconds that they took."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "cached_tokens": self.cached,
            "prompt_ms": _milliseconds(self.prompt_s),
            "decode_ms": _milliseconds(self.decode_s),
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
    """Writes the answers to one request.

    Args:
        answer_id: starts with the route's prefix.
        created: Unix time in seconds.
        model: name that the client asked for.
        include_usage: chunks carry the field `usage`, null in all but the last.
        tell_usage: where they do not, a comment at the end tells it, for a gateway.
        probabilities: writes log probabilities; None where none were asked for.
    """

    prefix: ClassVar[str]
    whole_object: ClassVar[str]
    chunk_object: ClassVar[str]

    def __init__(
        self,
        answer_id: str,
        created: int,
        model: str,
        *,
        include_usage: bool = False,
        tell_usage: bool = False,
        probabilities: Probabilities | None = None,
    ) -> None:
        self._tell_usage = tell_usage
        self._head = {"id": answer_id, "created": created, "model": model}
        self._include_usage = include_usage
        self._probabilities = probabilities
        # A chunk a token: everything but the text is encoded once.
        fixed = _encode({**self._head, "object": self.chunk_object})
        self._before = b"data: " + fixed[:-1] + b',"choices":['
        self._after = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"

    @abstractmethod
    def delta(self, piece: Piece) -> bytes:
        """Chunks with what is new; nothing where nothing is."""

    @abstractmethod
    def end(self, piece: Piece) -> dict[str, Any]:
        """The choice of the chunk that ends an answer."""

    @abstractmethod
    def whole_choice(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        """The choice of a whole answer, from all of its pieces."""

    def first(self, index: int) -> bytes:
        """What the stream of one answer begins with."""
        return b""

    def progress(self, progress: Progress, total: int, seconds: float) -> bytes:
        """A chunk without choices that tells how far the prompt is, in llama-server's shape.

        Args:
            progress: how far.
            total: tokens of the prompt.
            seconds: since the request came.
        """
        told = {
            "total": total,
            "cache": progress.cached or 0,
            "processed": progress.done,
            "time_ms": round(seconds * 1000),
        }
        chunk: dict[str, Any] = {**self._head, "object": self.chunk_object, "choices": [], "prompt_progress": told}
        return sse({**chunk, "usage": None} if self._include_usage else chunk)

    def ended(self, piece: Piece) -> bytes:
        """The chunk that says why one answer ended."""
        return self.chunk(self.end(piece))

    def last(self, usage: Usage) -> bytes:
        """The end of a stream: usage where asked for, and the mark of the end."""
        last = b""
        if self._include_usage:
            last = sse({**self._head, "object": self.chunk_object, "choices": [], "usage": usage.told()})
        elif self._tell_usage:
            last = b": rbee-usage " + _encode(usage.measured()) + b"\n\n"
        return last + DONE

    def whole(self, answers: Sequence[Sequence[Piece]], usage: Usage) -> bytes:
        """The body of answers that are not streamed, each from all of its pieces."""
        choices = [self.whole_choice(pieces) for pieces in answers]
        return _encode({**self._head, "object": self.whole_object, "choices": choices, "usage": usage.told()})

    def chunk(self, choice: dict[str, Any]) -> bytes:
        """One choice as a chunk."""
        return self._before + _encode(choice) + self._after


class ChatRenderer(Renderer):
    """Answers of ``/v1/chat/completions``."""

    prefix = "chatcmpl-"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def first(self, index: int) -> bytes:
        """The chunk that says who speaks."""
        return self._delta(index, {"role": "assistant", "content": ""}, None)

    def delta(self, piece: Piece) -> bytes:
        """One chunk for reasoning, text and calls each; log probabilities go with the first of them."""
        likely = self._likely((piece,))
        if piece.content and not piece.reasoning and not piece.calls and likely is None:
            return (
                self._before
                + b'{"index":%d,"delta":{"content":' % piece.index
                + _encode(piece.content)
                + b'},"logprobs":null,"finish_reason":null}'
                + self._after
            )
        deltas: list[dict[str, Any]] = []
        if piece.reasoning:
            deltas.append({"reasoning_content": piece.reasoning})
        if piece.content or (likely is not None and not piece.reasoning and not piece.calls):
            deltas.append({"content": piece.content})
        deltas += ({"tool_calls": [_call(call)]} for call in piece.calls)
        chunks = []
        for delta in deltas:
            chunks.append(self._delta(piece.index, delta, likely))
            likely = None
        return b"".join(chunks)

    def end(self, piece: Piece) -> dict[str, Any]:
        """See `Renderer.end`."""
        return {"index": piece.index, "delta": {}, "logprobs": None, **_why(piece)}

    def whole_choice(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        """See `Renderer.whole_choice`."""
        content = "".join(piece.content for piece in pieces)
        reasoning = "".join(piece.reasoning for piece in pieces)
        calls = _whole_calls(pieces)
        message: dict[str, Any] = {"role": "assistant", "content": content or (None if calls else ""), "refusal": None}
        if reasoning:
            message["reasoning_content"] = reasoning
        if calls:
            message["tool_calls"] = calls
        last = pieces[-1]
        return {"index": last.index, "message": message, "logprobs": self._likely(pieces), **_why(last)}

    def _delta(self, index: int, delta: dict[str, Any], likely: Any) -> bytes:
        return self.chunk({"index": index, "delta": delta, "logprobs": likely, "finish_reason": None})

    def _likely(self, pieces: Sequence[Piece]) -> Any:
        drawn = [one for piece in pieces for one in piece.drawn]
        return self._probabilities.chat(drawn) if self._probabilities is not None and drawn else None


class CompletionRenderer(Renderer):
    """Answers of ``/v1/completions``."""

    prefix = "cmpl-"
    whole_object = "text_completion"
    chunk_object = "text_completion"

    def delta(self, piece: Piece) -> bytes:
        """See `Renderer.delta`."""
        likely = self._likely((piece,))
        if not piece.content and likely is None:
            return b""
        return self.chunk({"index": piece.index, "text": piece.content, "logprobs": likely, "finish_reason": None})

    def end(self, piece: Piece) -> dict[str, Any]:
        """See `Renderer.end`."""
        return {"index": piece.index, "text": "", "logprobs": None, **_why(piece)}

    def whole_choice(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        """See `Renderer.whole_choice`."""
        text, last = "".join(piece.content for piece in pieces), pieces[-1]
        return {"index": last.index, "text": text, "logprobs": self._likely(pieces), **_why(last)}

    def _likely(self, pieces: Sequence[Piece]) -> Any:
        drawn = [one for piece in pieces for one in piece.drawn]
        return (
            self._probabilities.completion(pieces[-1].index, drawn)
            if self._probabilities is not None and drawn
            else None
        )


def _call(call: CallDelta) -> dict[str, Any]:
    if call.id is None:
        return {"index": call.index, "function": {"arguments": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments}
    return {"index": call.index, "id": call.id, "type": "function", "function": function}


def _whole_calls(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    whole: dict[int, dict[str, Any]] = {}
    for call in (call for piece in pieces for call in piece.calls):
        if call.id is not None:
            function = {"name": call.name, "arguments": call.arguments}
            whole[call.index] = {"id": call.id, "type": "function", "function": function}
        else:
            whole[call.index]["function"]["arguments"] += call.arguments
    return [whole[index] for index in sorted(whole)]


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _why(end: Piece) -> dict[str, Any]:
    # `stop_reason` is vLLM's addition: the stop string, which Anthropic's API tells its clients.
    return {"finish_reason": end.finish, "stop_reason": end.stop}
