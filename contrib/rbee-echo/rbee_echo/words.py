"""Tokens of the echo engine: words with the space before them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain, cycle, islice
from types import MappingProxyType

from rbee.contract import Tokenizer

_WORD = re.compile(r"\s*\S+")

SYSTEM, USER, ASSISTANT, TOOL, END = range(1, 6)
"""Marks in a conversation; they are no text."""
_NAMES = MappingProxyType(
    {SYSTEM: "<|system|>", USER: "<|user|>", ASSISTANT: "<|assistant|>", TOOL: "<|tool|>", END: "<|end|>"}
)
_MARK = re.compile("|".join(re.escape(name) for name in _NAMES.values()))
_FIRST_WORD = 256
_LONGEST = 64
"""Bytes of the longest token: longer words are several."""


class WordTokenizer(Tokenizer):
    """Every word is a token, whose id is its bytes read as a number.

    So there is no vocabulary to learn and none to keep.  A real model has a table instead, and mostly comes with the
    files that `rbee.contract.folder_tokenizer` reads.
    """

    size = 2 << 8 * _LONGEST
    ends = frozenset({END})
    control = frozenset(_NAMES)
    template = (
        "{% for message in messages %}"
        "{{ '<|' + message.role + '|>' + message.content }}"
        "{% if add_generation_prompt or not loop.last %}<|end|>{% endif %}"
        "{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Words of the text; names of marks are marks where `special`."""
        if not special:
            return [token for word in split(text) for token in _numbers(word)]
        tokens: list[int] = []
        at = 0
        for mark in _MARK.finditer(text):
            tokens += self.encode(text[at : mark.start()], special=False)
            tokens += (token for token, name in _NAMES.items() if name == mark[0])
            at = mark.end()
        return tokens + self.encode(text[at:], special=False)

    def piece(self, token: int) -> bytes:
        """The word, or the name of a mark."""
        if token < _FIRST_WORD:
            return _NAMES.get(token, "").encode()
        return token.to_bytes((token.bit_length() + 7) // 8, "big")[1:]


def _numbers(word: str) -> list[int]:
    """The bytes of a word, behind a one that keeps leading zeros and holds words apart from marks."""
    data = word.encode("utf-8", "replace")
    return [int.from_bytes(b"\x01" + data[at : at + _LONGEST], "big") for at in range(0, len(data), _LONGEST)]


def split(text: str) -> list[str]:
    """The text word by word, nothing left out: white space at its end is a word too."""
    words: list[str] = _WORD.findall(text)
    rest = text[sum(map(len, words)) :]
    return [*words, rest] if rest else words


def answer_to(prompt: Sequence[int], tokenizer: WordTokenizer) -> tuple[str, str]:
    """What is echoed, and how much of it has been said already.

    The last user's message of a conversation, or the whole prompt where there is no conversation.
    """
    tokens = list(prompt)
    if ASSISTANT not in tokens:
        return text_of(tokens, tokenizer), ""
    begun = len(tokens) - tokens[::-1].index(ASSISTANT)
    said = text_of(tokens[begun:], tokenizer)
    if USER not in tokens:
        return "", said
    asked = tokens[len(tokens) - tokens[::-1].index(USER) :]
    return text_of(asked[: asked.index(END)] if END in asked else asked, tokenizer), said


def text_of(tokens: Sequence[int], tokenizer: WordTokenizer) -> str:
    """The words of tokens."""
    return b"".join(tokenizer.piece(token) for token in tokens).decode("utf-8", "replace")


def spoken(text: str, exactly: int | None = None) -> Iterator[str]:
    """The text word by word, white space at its end left out.

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
