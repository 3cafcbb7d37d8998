"""Answers of ``/v1/completions``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rbee.worker.tokens.answer import Piece
from rbee.worker.tokens.openai.renderer import Renderer, why


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
        return {"index": piece.index, "text": "", "logprobs": None, **why(piece)}

    def whole_choice(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        """See `Renderer.whole_choice`."""
        text, last = "".join(piece.content for piece in pieces), pieces[-1]
        return {"index": last.index, "text": text, "logprobs": self._likely(pieces), **why(last)}

    def _likely(self, pieces: Sequence[Piece]) -> Any:
        drawn = [one for piece in pieces for one in piece.drawn]
        return (
            self._probabilities.completion(pieces[-1].index, drawn)
            if self._probabilities is not None and drawn
            else None
        )
