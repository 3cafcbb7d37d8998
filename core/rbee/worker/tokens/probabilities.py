"""Log probabilities in the shapes of OpenAI's API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rbee.contract.tokenizer import Tokenizer
from rbee.worker.tokens.answer import Drawn

LEAST = -9999.0
"""Written for minus infinity, which JSON has not; OpenAI's own word for it."""


class Probabilities:
    """Writes them for the answers to one request.

    Args:
        tokenizer: of the model.
        asked: of how many of the likeliest tokens they were asked for.
    """

    def __init__(self, tokenizer: Tokenizer, asked: int) -> None:
        self._tokenizer = tokenizer
        self._asked = asked
        self._written: dict[int, int] = {}

    def chat(self, drawn: Sequence[Drawn]) -> dict[str, Any]:
        """As chat completions have them."""
        content = [
            {
                **self._entry(one.token, one.logprob),
                "top_logprobs": [self._entry(token, logprob) for token, logprob in one.top[: self._asked]],
            }
            for one in drawn
        ]
        return {"content": content, "refusal": None}

    def completion(self, index: int, drawn: Sequence[Drawn]) -> dict[str, Any]:
        """As completions have them; `text_offset` counts characters of the answer with that index."""
        texts = [self._text(one.token) for one in drawn]
        offsets = []
        at = self._written.get(index, 0)
        for text in texts:
            offsets.append(at)
            at += len(text)
        self._written[index] = at
        return {
            "tokens": texts,
            "token_logprobs": [_finite(one.logprob) for one in drawn],
            "top_logprobs": [
                {self._text(token): _finite(logprob) for token, logprob in one.top[: self._asked]} for one in drawn
            ],
            "text_offset": offsets,
        }

    def _entry(self, token: int, logprob: float) -> dict[str, Any]:
        piece = self._tokenizer.piece(token)
        return {"token": piece.decode("utf-8", "replace"), "logprob": _finite(logprob), "bytes": list(piece)}

    def _text(self, token: int) -> str:
        return self._tokenizer.piece(token).decode("utf-8", "replace")


def _finite(logprob: float) -> float:
    return max(LEAST, logprob)
