"""How quickly those who wait are served."""

from __future__ import annotations

_WEIGHT = 0.2
_LONGEST_S = 3600.0


class Pace:
    """Seconds between two who are served, while somebody waits; a moving average."""

    def __init__(self) -> None:
        self._average: float | None = None
        self._last: float | None = None

    def served(self, now: float) -> None:
        """Somebody is served.

        Args:
            now: seconds of a clock that never goes back.
        """
        if self._last is not None:
            between = now - self._last
            self._average = between if self._average is None else self._average + _WEIGHT * (between - self._average)
        self._last = now

    def paused(self) -> None:
        """Nobody waits any more: the time until somebody does is no pace."""
        self._last = None

    def expected_s(self, position: int) -> float | None:
        """Seconds until the one at that place, from 1, is served; None while nobody was."""
        return None if self._average is None else min(_LONGEST_S, self._average * position)
