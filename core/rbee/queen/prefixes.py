"""Which beginnings of prompts each worker has lately computed: what it likely still has in its cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

_BLOCKS = 4096
"""A worker's: about 2 MiB of prompts, or half a million tokens; more than the caches of most."""


class Prefixes:
    """Blocks of prompts by worker, the longest unused forgotten first.  Hashes alone: no text is kept."""

    def __init__(self) -> None:
        self._by_worker: dict[str, OrderedDict[int, None]] = {}

    def share(self, worker_id: str, blocks: Sequence[int]) -> float:
        """How much of a prompt the worker has computed before, 0 to 1.

        Args:
            worker_id: which.
            blocks: of the prompt; see `rbee.gateway.Traits`.
        """
        known = self._by_worker.get(worker_id)
        if not known or not blocks:
            return 0.0
        # Each hash stands for all before it as well: the last that is known tells how far it goes.
        low, high = 0, len(blocks)
        while low < high:
            middle = (low + high) // 2
            if blocks[middle] in known:
                low = middle + 1
            else:
                high = middle
        return low / len(blocks)

    def computed(self, worker_id: str, blocks: Sequence[int]) -> None:
        """The worker gets this prompt."""
        if not blocks:
            return
        known = self._by_worker.setdefault(worker_id, OrderedDict())
        # From the end: of one prompt the beginning, which others may share, is the last to be forgotten.
        for block in reversed(blocks):
            known[block] = None
            known.move_to_end(block)
        while len(known) > _BLOCKS:
            known.popitem(last=False)

    def forget(self, known: Callable[[str], bool]) -> None:
        """Drop those of workers that are gone."""
        for worker_id in [one for one in self._by_worker if not known(one)]:
            del self._by_worker[worker_id]
