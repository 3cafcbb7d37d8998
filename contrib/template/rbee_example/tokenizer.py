"""Tokens of the models: bytes, and one that ends an answer."""

from __future__ import annotations

from rbee.contract import Tokenizer

END = 256


class ByteTokenizer(Tokenizer):
    """The 256 bytes and the end."""

    size = 257
    ends = frozenset({END})
    control = frozenset({END})
    template = "{% for message in messages %}{{ message.content }}\n{% endfor %}"

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """The bytes of a text; there is no name for the end."""
        return list(text.encode())

    def piece(self, token: int) -> bytes:
        """The byte; nothing for the end."""
        return bytes([token]) if 0 <= token < END else b""
