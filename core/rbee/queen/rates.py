"""How quick each worker is, from the requests that it has answered."""

from __future__ import annotations

from collections.abc import Callable

_WEIGHT = 0.25
"""Of the newest measurement in the moving average."""


class _Speed:
    __slots__ = ("decode", "prefill")

    def __init__(self) -> None:
        self.prefill: float | None = None
        self.decode: dict[int, float] = {}
        """Tokens a second of one answer, by the number of answers that ran at the same time."""


class Rates:
    """Speeds by worker."""

    def __init__(self) -> None:
        self._by_worker: dict[str, _Speed] = {}

    def prefilled(self, worker_id: str, tokens: int, seconds: float) -> None:
        """A prompt was computed."""
        speed = self._of(worker_id)
        speed.prefill = _moved(speed.prefill, tokens / seconds)

    def decoded(self, worker_id: str, tokens: int, seconds: float, beside: int) -> None:
        """An answer was given while `beside` others ran there."""
        speed = self._of(worker_id)
        speed.decode[beside + 1] = _moved(speed.decode.get(beside + 1), tokens / seconds)

    def prefill(self, worker_id: str) -> float | None:
        """Tokens of a prompt that the worker computes a second; None before it was measured."""
        speed = self._by_worker.get(worker_id)
        return None if speed is None else speed.prefill

    def decode(self, worker_id: str, beside: int) -> float | None:
        """Tokens a second that one more answer would get beside others; None before any was measured.

        Between measured numbers of answers the nearest lower one counts, and beyond all of them the speed is shared.
        """
        speed = self._by_worker.get(worker_id)
        if speed is None or not speed.decode:
            return None
        running = beside + 1
        at = max((one for one in speed.decode if one <= running), default=min(speed.decode))
        return speed.decode[at] * min(1.0, at / running)

    def forget(self, known: Callable[[str], bool]) -> None:
        """Drop those of workers that are gone."""
        for worker_id in [one for one in self._by_worker if not known(one)]:
            del self._by_worker[worker_id]

    def _of(self, worker_id: str) -> _Speed:
        return self._by_worker.setdefault(worker_id, _Speed())


def _moved(average: float | None, newest: float) -> float:
    return newest if average is None else average + _WEIGHT * (newest - average)
