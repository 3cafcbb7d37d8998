"""Tokens as they come, as text."""

from __future__ import annotations

import codecs
from collections.abc import Set as AbstractSet

from rbee.contract.tokenizer import Tokenizer


class Detokenizer:
    """Turns the tokens of one answer into text that holds whole characters only.

    A character that is spread over tokens comes with its last one; bytes that are no character come as U+FFFD.

    Args:
        tokenizer: of the model.
        shown: control tokens that are shown by name, for somebody who looks for them in the text.
    """

    def __init__(self, tokenizer: Tokenizer, shown: AbstractSet[int] = frozenset()) -> None:
        self._tokenizer = tokenizer
        self._hidden = tokenizer.control - shown
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """What is complete with this token; often nothing."""
        if token in self._hidden:
            return ""
        return self._decoder.decode(self._tokenizer.piece(token))

    def flush(self) -> str:
        """What is left at the end: U+FFFD where a character stayed incomplete."""
        return self._decoder.decode(b"", final=True)
