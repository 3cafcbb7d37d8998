"""Which GGUF files of a repository are one model in several quantisations, by their names without these."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec
from rbee.contract.model_refs import looks_like_quantization

from rbee_huggingface.ggufs import Gguf, models_of, stem_of
from rbee_huggingface.listing import Listing

_PIECES: Final = re.compile(r"[-.\s]+")
_WORDS: Final = re.compile(r"[a-z]+|[0-9]+|[^\W\d_]+")
_MOST_PARTS: Final = 6
"""Words with ``_`` between them that a quantisation is made of."""
_NO_NAMES: Final = frozenset({"gguf", "ud", "i1", "imat", "imatrix"})
"""Words for how a file was made, not for what it holds."""


class Ggufs(msgspec.Struct, frozen=True, kw_only=True):
    """The whole models of a repository.

    Attributes:
        own: its own, in several quantisations of which each may stand for any other; the best first.
        beside: others, as drafts and other sizes, which only the name of a file means.
        words: how many of its own have a quantisation.
    """

    own: tuple[Gguf, ...]
    beside: tuple[Gguf, ...]
    words: Mapping[str | None, int]

    def word_of(self, model: Gguf) -> str | None:
        """The quantisation, where it is enough to name a model; None where its file has to be named."""
        return model.quantization if self.words[model.quantization] == 1 and model in self.own else None


def ggufs_of(listing: Listing) -> Ggufs:
    """The models, by what they are called: the group that is called most as the repository is holds its own.

    Of groups that are so alike it is the largest.
    """
    groups: dict[tuple[str, ...], list[Gguf]] = {}
    for model in models_of(listing):
        if model.missing is None:
            groups.setdefault(_stem(model), []).append(model)
    wanted = frozenset(_words(listing.repository.partition("/")[2]))
    best = min(groups, key=lambda stem: (-_likeness(wanted, frozenset(stem)), -len(groups[stem]), stem), default=())
    own = groups.pop(best, [])
    return Ggufs(
        own=tuple(own),
        beside=tuple(model for group in groups.values() for model in group),
        words=Counter(model.quantization for model in own),
    )


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of words that are in both."""
    return len(one & other) / max(1, len(one | other))


def _stem(model: Gguf) -> tuple[str, ...]:
    folder, _, name = stem_of(model).rpartition("/")
    words = _words(name)
    # A folder for the parts of one model is often called as they are.
    return (*(word for word in _words(folder.replace("/", "-")) if word not in words), *words)


def _words(text: str) -> list[str]:
    """Words of a name, without those for its quantisation."""
    found: list[str] = []
    for piece in _PIECES.split(text.lower()):
        parts = piece.split("_")
        at = 0
        while at < len(parts):
            ends = range(min(len(parts), at + _MOST_PARTS), at, -1)
            end = next((end for end in ends if looks_like_quantization("_".join(parts[at:end]))), at)
            if end == at:
                found.extend([] if parts[at] in _NO_NAMES else _WORDS.findall(parts[at]))
                end += 1
            at = end
    return found
