"""What an answer took."""

from __future__ import annotations

from typing import Any

import msgspec


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


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
