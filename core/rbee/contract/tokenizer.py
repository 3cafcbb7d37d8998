"""How the worker host turns text into a model's tokens and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType

PackedMask = bytes
"""One bit a token, set for those that may come: bit ``n % 32`` of the little-endian 32-bit word ``n // 32``."""


class Tokenizer(ABC):
    """A model's tokens and texts, and how its conversations are written down.

    A `TokenEngine` returns one from `load`; from then on the worker host calls it on its event loop and, for
    constraints, in the engine's thread: it must not change.  Most models come with a ``tokenizer.json``, for which
    `rbee.contract.folder_tokenizer.FolderTokenizer` is all that an engine needs.

    Attributes:
        size: tokens of the vocabulary; ids run from 0 to below it.
        ends: tokens that end an answer.
        control: tokens that are no text, those of `ends` among them: the host shows them to nobody.
        before: tokens put before a bare prompt, the beginning of a text for one; a chat template writes its own.
        template: the model's chat template, in Jinja as Hugging Face's ``chat_template`` has it; None where the model
            does not converse.
        words: texts that templates refer to by name, ``bos_token`` and ``eos_token`` for two.
    """

    size: int
    ends: frozenset[int] = frozenset()
    control: frozenset[int] = frozenset()
    before: Sequence[int] = ()
    template: str | None = None
    words: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """The tokens of a text, with nothing added.

        Args:
            text: any text.
            special: names of special tokens within it become these tokens, as a chat template means them; else
                they are taken for text.
        """

    @abstractmethod
    def piece(self, token: int) -> bytes:
        """What a token adds to a text: bytes of UTF-8, which need not end where a character ends.

        For special tokens their name.  Unknown ids give nothing.
        """


class Constraint(ABC):
    """What an answer may still say, at each token; made by the worker host for one request."""

    @abstractmethod
    def mask(self, generated: Sequence[int]) -> PackedMask:
        """The tokens that may come next.

        Args:
            generated: all tokens of the answer so far; each call's begin with those of the call before.

        Returns:
            ``(size + 31) // 32`` words.  Logits of tokens whose bit is not set, and of those beyond the vocabulary,
            must be made minus infinity before a token is drawn.  At least one bit is set.
        """
