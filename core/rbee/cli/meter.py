"""How far and how fast something goes, by what a job tells of it."""

from __future__ import annotations

from rbee.cli.format import byte_share, byte_size, duration
from rbee.contract.wire import JobEvent

_WINDOW_S = 10.0
_LEAST_S = 0.5


class Meter:
    """A rate, judged by the last seconds: what was there before the first report, as after a resume, does not count.

    Times are seconds of any one clock.  Read from another thread than the one that tells, it is whole at any time.
    """

    def __init__(self) -> None:
        self._told: tuple[tuple[float, int], ...] = ()

    def tell(self, done: int, now: float) -> None:
        """So many units are done."""
        # Less than before: it has begun anew.
        before = () if self._told and done < self._told[-1][1] else self._told
        self._told = (*_lately(before, now), (now, done))

    def rate(self, now: float) -> float | None:
        """Units a second; None while it cannot be judged, or when nothing was told lately."""
        told = _lately(self._told, now)
        if len(told) < 2 or now - told[0][0] < _LEAST_S:
            return None
        return (told[-1][1] - told[0][1]) / (now - told[0][0])


class Transfer:
    """One job's progress, as last told, in words for a display."""

    def __init__(self) -> None:
        self.done: int | None = None
        self.total: int | None = None
        self._action: str | None = None
        self._unit: str | None = None
        self._item: tuple[int | None, int | None] = (None, None)
        self._meter = Meter()

    def take(self, event: JobEvent, now: float) -> None:
        """What a ``progress`` event tells."""
        if (event.action, event.unit) != (self._action, self._unit):
            self._meter = Meter()
        self._action, self._unit, self._item = event.action, event.unit, (event.item, event.items)
        self.done, self.total = event.done, event.total
        if event.done is not None:
            self._meter.tell(event.done, now)

    @property
    def complete(self) -> bool:
        """Whether all is done."""
        return self.total is not None and self.done is not None and self.done >= self.total

    @property
    def is_bytes(self) -> bool:
        """Whether it is data that comes."""
        return self._unit in {"bytes", None}

    @property
    def file(self) -> str:
        """``file 2 of 5``; nothing for a single one."""
        item, items = self._item
        if item is None or items == 1:
            return ""
        return f"file {item}" if items is None else f"file {item} of {items}"

    @property
    def amount(self) -> str:
        """``1.2 of 4.0 GiB``."""
        if self.done is None:
            return ""
        if self.is_bytes:
            return byte_share(self.done, self.total)
        return f"{self.done}{'' if self.total is None else f' of {self.total}'} {self._unit}"

    @property
    def share(self) -> str:
        """``30 %``."""
        return f"{100 * self.done // self.total} %" if self.total and self.done is not None else ""

    def rate(self, now: float) -> str:
        """``12.0 MiB/s``; nothing while it cannot be judged."""
        found = None if self.complete else self._meter.rate(now)
        if found is None:
            return ""
        return f"{byte_size(int(found))}/s" if self.is_bytes else f"{found:.1f}/s"

    def left(self, now: float) -> str:
        """``1m 20s``; nothing while it cannot be judged."""
        found = self._meter.rate(now)
        if not found or self.complete or self.total is None or self.done is None:
            return ""
        return duration((self.total - self.done) / found)

    def line(self, now: float) -> str:
        """All of it on one line."""
        left = self.left(now)
        parts = (self.file, self.amount, self.share, self.rate(now), left and f"{left} left")
        return ", ".join(part for part in parts if part)


def _lately(told: tuple[tuple[float, int], ...], now: float) -> tuple[tuple[float, int], ...]:
    return tuple(one for one in told if now - one[0] <= _WINDOW_S)
