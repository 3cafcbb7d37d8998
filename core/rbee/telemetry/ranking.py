"""Ids in the order of a key that changes often."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar


class Ordered(Protocol):
    """What can be sorted."""

    def __lt__(self, other: Any, /) -> bool:
        """Whether this comes before `other`."""


K = TypeVar("K", bound=Ordered)

_SWEEP = 2
"""Outdated places taken from the front at each change: more than a change can add."""
_SPARE = 64
"""Outdated places that are always tolerated."""


class Ranking(Generic[K]):
    """The id with the lowest key at once, equal keys by id.

    A heap whose outdated places are left where they are and passed over later.  A change costs the logarithm of the
    number of ids; the heap is built anew when more than half of it is outdated, so that memory stays bounded.
    """

    def __init__(self) -> None:
        self._keys: dict[str, K] = {}
        self._heap: list[tuple[K, str]] = []

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._keys

    def ids(self) -> Iterable[str]:
        """All ids, in no order."""
        return self._keys.keys()

    def put(self, item_id: str, key: K) -> None:
        """Enter an id or change its key; costs nothing when the key has not changed."""
        if self._keys.get(item_id) == key:
            return
        self._keys[item_id] = key
        heapq.heappush(self._heap, (key, item_id))
        self._sweep()

    def discard(self, item_id: str) -> None:
        """Take an id out; harmless when it is not there."""
        if self._keys.pop(item_id, None) is not None:
            self._sweep()

    def first(self) -> str | None:
        """The id with the lowest key; None when there is none."""
        while self._heap:
            if self._is_current(self._heap[0]):
                return self._heap[0][1]
            heapq.heappop(self._heap)
        return None

    def take_up_to(self, limit: K) -> list[str]:
        """Take out all ids whose keys are not above `limit`; returns them, the lowest first."""
        taken = []
        while (item_id := self.first()) is not None and not limit < self._keys[item_id]:
            heapq.heappop(self._heap)
            del self._keys[item_id]
            taken.append(item_id)
        return taken

    def _is_current(self, place: tuple[K, str]) -> bool:
        key, item_id = place
        return self._keys.get(item_id) == key

    def _sweep(self) -> None:
        for _ in range(_SWEEP):
            if not self._heap or self._is_current(self._heap[0]):
                break
            heapq.heappop(self._heap)
        if len(self._heap) > 2 * len(self._keys) + _SPARE:
            self._heap = [(key, item_id) for item_id, key in self._keys.items()]
            heapq.heapify(self._heap)
