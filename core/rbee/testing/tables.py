"""A tokenizer over a small table, for tests that want to see bytes, characters and tokens apart."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.contract import Tokenizer

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class TableTokenizer(Tokenizer):
    """The 256 bytes, then special tokens, then further pieces in the order given; texts become bytes.

    Args:
        pieces: further tokens, which no text becomes.
        special: control tokens; the second one ends answers.
        template: of conversations.
        before: tokens put before a bare prompt.

    Attributes:
        first: id of the first of the further pieces.
    """

    def __init__(
        self,
        pieces: Sequence[str | bytes] = (),
        *,
        special: Sequence[str] = ("<|im_start|>", "<|im_end|>"),
        template: str | None = CHATML,
        before: Sequence[int] = (),
    ) -> None:
        self._special = {name: 256 + number for number, name in enumerate(special)}
        self._table = [bytes([byte]) for byte in range(256)]
        self._table += [name.encode() for name in special]
        self.first = len(self._table)
        self._table += [piece if isinstance(piece, bytes) else piece.encode() for piece in pieces]
        self.size = len(self._table)
        self.control = frozenset(self._special.values())
        self.ends = frozenset({257}) & self.control
        self.template = template
        self.before = before

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Bytes of the text, and the special tokens named in it."""
        for name, token in self._special.items() if special else ():
            before, found, after = text.partition(name)
            if found:
                return [*self.encode(before), token, *self.encode(after)]
        return list(text.encode())

    def piece(self, token: int) -> bytes:
        """See `Tokenizer.piece`."""
        return self._table[token] if 0 <= token < self.size else b""
