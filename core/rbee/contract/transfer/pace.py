"""Whether bytes come fast enough to be waited for: a byte now and then would hold a transfer for ever."""

from __future__ import annotations

import time

from rbee.contract.transfer.patience import Patience


class Pace:
    """Counts bytes of one answer.  One thread reads and counts, another one looks.

    Args:
        patience: how many are enough.
    """

    def __init__(self, patience: Patience) -> None:
        self._each_s = patience.pace_s
        self._least = patience.least_bytes_per_s * patience.pace_s
        self._came = 0
        self._counted = 0
        self._since = time.monotonic()

    def came(self, count: int) -> None:
        """So many bytes more."""
        self._came += count

    def is_slow(self) -> bool:
        """Whether a while is over in which too little came; the next while begins then."""
        now = time.monotonic()
        if now - self._since < self._each_s:
            return False
        came = self._came
        slow = came - self._counted < self._least
        self._since, self._counted = now, came
        return slow
