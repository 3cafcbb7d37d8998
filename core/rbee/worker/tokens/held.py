"""Text that comes in pieces, and words looked for in it that may be spread over several."""

from __future__ import annotations

from collections.abc import Sequence


def undecided(text: str, words: Sequence[str]) -> int:
    """Length of the longest end of `text` that one of the words begins with, and is not all of it."""
    longest = max(map(len, words), default=0)
    for length in range(min(longest - 1, len(text)), 0, -1):
        if any(word.startswith(text[-length:]) for word in words):
            return length
    return 0
