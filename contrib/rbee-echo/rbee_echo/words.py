"""Tokens of the echo engine: words with the space before them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain, cycle, islice
from typing import Any

_WORD = re.compile(r"\s*\S+")


def count(text: str) -> int:
    """Tokens of a text."""
    return len(text.split())


def prompt_tokens(messages: Sequence[dict[str, Any]] | None, prompt: str | None) -> int:
    """Tokens of what was asked."""
    if messages is None:
        return count(prompt or "")
    return sum(count(message["content"]) for message in messages)


def answer_to(messages: Sequence[dict[str, Any]] | None, prompt: str | None) -> str:
    """What is echoed: the last user message, or the whole prompt."""
    if messages is None:
        return prompt or ""
    said = (message["content"] for message in reversed(messages) if message["role"] == "user")
    return next(said, "")


def tokens(text: str, exactly: int | None = None) -> Iterator[str]:
    """The text word by word, all white space within it kept.

    Args:
        text: to be cut.
        exactly: how many words to yield, the text repeated as often as that takes; None for the text once.
    """
    words: list[str] = _WORD.findall(text)
    if exactly is None:
        return iter(words)
    words = words or ["echo"]
    again = [word if word[0].isspace() else f" {word}" for word in words]
    return islice(chain(words, cycle(again)), exactly)


def behind(words: Iterator[str], said: str) -> Iterator[str]:
    """What is left of the words when so much has been said already."""
    passed = 0
    for word in words:
        left = word[max(0, len(said) - passed) :]
        passed += len(word)
        if left:
            yield left
