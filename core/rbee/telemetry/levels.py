"""An index that answers: which ids have at least so much?"""

from __future__ import annotations

import bisect
from collections.abc import Iterable


class Levels:
    """Ids by an amount.  A question costs its answer and the logarithm of the number of different amounts."""

    def __init__(self) -> None:
        self._amounts: dict[str, int] = {}
        self._ids: dict[int, dict[str, None]] = {}
        self._sorted: list[int] = []

    def put(self, item_id: str, amount: int | None) -> None:
        """Set an id's amount, None to take it out; costs nothing when it has not changed."""
        before = self._amounts.get(item_id)
        if before == amount:
            return
        if before is not None:
            del self._amounts[item_id]
            ids = self._ids[before]
            del ids[item_id]
            if not ids:
                del self._ids[before]
                del self._sorted[bisect.bisect_left(self._sorted, before)]
        if amount is not None:
            self._amounts[item_id] = amount
            if amount not in self._ids:
                self._ids[amount] = {}
                bisect.insort(self._sorted, amount)
            self._ids[amount][item_id] = None

    def at_least(self, amount: int) -> Iterable[str]:
        """Ids with that much or more, least first."""
        for level in self._sorted[bisect.bisect_left(self._sorted, amount) :]:
            yield from self._ids[level]
