"""Caches of prompts that have been computed, for requests that begin alike."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Layers = list[Any]
"""The library's caches, one a layer."""
Tokens = NDArray[np.uint32]

SHORTEST = 16
"""Tokens worth keeping: fewer are computed in no time."""


class Hit(msgspec.Struct, frozen=True):
    """What is there already of a prompt.

    Attributes:
        layers: with the first `tokens` of it, to be changed by whoever gets them.
        tokens: how many.
    """

    layers: Layers
    tokens: int


class _Entry(msgspec.Struct, frozen=True):
    tokens: Tokens
    layers: Layers
    size_bytes: int


class PromptCache:
    """Keeps the caches of requests that have ended, the ones used last, up to a number of bytes.

    Entries are never changed: who takes one gets layers of his own.

    Args:
        most_bytes: of all of them; 0 keeps none.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._next = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, prompt: Sequence[int]) -> Hit | None:
        """The longest beginning of a prompt that is there, short of the whole: one token must be computed anew."""
        from mlx_lm.models.cache import can_trim_prompt_cache, trim_prompt_cache

        wanted = np.asarray(prompt, dtype=np.uint32)
        best, common = None, SHORTEST - 1
        for key, entry in self._entries.items():
            shared = min(_shared(entry.tokens, wanted), len(wanted) - 1)
            if shared > common and (shared == len(entry.tokens) or can_trim_prompt_cache(entry.layers)):
                best, common = key, shared
        if best is None:
            return None
        self._entries.move_to_end(best)
        entry = self._entries[best]
        layers = own(entry.layers)
        if (surplus := len(entry.tokens) - common) > 0:
            trim_prompt_cache(layers, surplus)
        return Hit(layers, common)

    def keep(self, tokens: Sequence[int], layers: Layers) -> None:
        """Keep what a request has computed, and drop what was used least to make room.

        One that begins another is there only beside one that cannot be cut back to it.

        Args:
            tokens: whose states the layers hold.
            layers: nobody else's.
        """
        from mlx_lm.models.cache import can_trim_prompt_cache

        size = sum(int(layer.nbytes) for layer in layers)
        if len(tokens) < SHORTEST or size > self._most:
            return
        kept = np.asarray(tokens, dtype=np.uint32)
        replaces = can_trim_prompt_cache(layers)
        for key, entry in list(self._entries.items()):
            shared = _shared(entry.tokens, kept)
            if shared == len(entry.tokens) and (replaces or shared == len(kept)):
                self._drop(key)
            elif shared == len(kept) and can_trim_prompt_cache(entry.layers):
                return
        self._entries[self._next] = _Entry(kept, layers, size)
        self._next += 1
        self.size_bytes += size
        while self.size_bytes > self._most:
            self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self.size_bytes = 0

    def _drop(self, key: int) -> None:
        self.size_bytes -= self._entries.pop(key).size_bytes


def own(layers: Layers) -> Layers:
    """Layers that can be trimmed and written to without changing the others.

    The arrays of plain ones may be shared: the library puts them into a batch's before it writes.
    """
    from mlx_lm.models.cache import KVCache

    return [copy.copy(layer) if type(layer) is KVCache else copy.deepcopy(layer) for layer in layers]


def _shared(one: Tokens, other: Tokens) -> int:
    """Tokens that both begin with."""
    length = min(len(one), len(other))
    differing = np.flatnonzero(one[:length] != other[:length])
    return int(differing[0]) if len(differing) else length
