"""How long another hive's fetch is waited for: as long as it gets on, by what it says of itself."""

from __future__ import annotations

WINDOW_S = 60.0
LEAST_BYTES = 1024 * 1024
"""What a fetch must bring within each window, unless less is left: a slow line's worth."""


class _Pace:
    """How far one hive is, and how far it was when the present window began."""

    def __init__(self, done: int, now: float) -> None:
        self.most = done
        self.mark = done
        self.since = now


class Patience:
    """Judges by the most that a hive has told so far, which never goes back and ends with the model's size.

    So the longest wait is bounded whatever a hive says, and one that always tells another number is not waited for.

    Args:
        size_bytes: of the model; None is waited for by nobody.
    """

    def __init__(self, size_bytes: int | None) -> None:
        self._size = size_bytes
        self._paces: dict[str, _Pace] = {}

    def has(self, hive_id: str, done_bytes: int | None, now: float) -> bool:
        """Whether the fetch of a hive is worth waiting for.

        Args:
            hive_id: whose.
            done_bytes: what it says is there; None counts as nothing.
            now: seconds that never go back.
        """
        if self._size is None:
            return False
        done = max(0, min(done_bytes or 0, self._size))
        pace = self._paces.setdefault(hive_id, _Pace(done, now))
        pace.most = max(pace.most, done)
        if now - pace.since <= WINDOW_S:
            return True
        left = self._size - pace.mark
        if left == 0 or pace.most - pace.mark < min(LEAST_BYTES, left):
            return False
        pace.mark, pace.since = pace.most, now
        return True
