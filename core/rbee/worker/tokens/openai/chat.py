"""Answers of ``/v1/chat/completions``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from rbee.worker.tokens.answer import Piece
from rbee.worker.tokens.calls import CallDelta
from rbee.worker.tokens.openai.renderer import Renderer, why

_encode = msgspec.json.Encoder().encode


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
        return {"index": piece.index, "delta": {}, "logprobs": None, **why(piece)}

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
        return {"index": last.index, "message": message, "logprobs": self._likely(pieces), **why(last)}

    def _delta(self, index: int, delta: dict[str, Any], likely: Any) -> bytes:
        return self.chunk({"index": index, "delta": delta, "logprobs": likely, "finish_reason": None})

    def _likely(self, pieces: Sequence[Piece]) -> Any:
        drawn = [one for piece in pieces for one in piece.drawn]
        return self._probabilities.chat(drawn) if self._probabilities is not None and drawn else None


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
