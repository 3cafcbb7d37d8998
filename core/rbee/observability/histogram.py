"""A histogram that costs a request almost nothing."""

from __future__ import annotations

from bisect import bisect_left


class Histogram:
    """Counts of values in buckets.

    Args:
        bounds: upper ends of the buckets, inclusive, rising; a last one without end is added.
    """

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """Sum of all values."""

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def observe_many(self, value: float, times: int) -> None:
        """Count a value as often as told."""
        self._counts[bisect_left(self._bounds, value)] += times
        self.total += value * times

    def copy(self) -> Histogram:
        """What has been counted so far, for another thread."""
        made = Histogram(self._bounds)
        made._counts = self._counts.copy()
        made.total = self.total
        return made

    def cumulative(self) -> list[tuple[str, float]]:
        """Each bucket's upper end and how many values are not above it, as Prometheus wants them."""
        found: list[tuple[str, float]] = []
        so_far = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            so_far += count
            found.append((bound, so_far))
        return found
