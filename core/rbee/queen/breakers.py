"""Circuit breakers: a worker that fails again and again gets nothing for a while, then one request to prove itself.

Pattern: Michael T. Nygard, Release It!, chapter "Stability Patterns".
"""

from __future__ import annotations

from collections.abc import Callable

_FAILURES = 3
_FIRST_S = 5.0
_LONGEST_S = 120.0
_MOST = 10_000


class _Circuit:
    __slots__ = ("failures", "opened", "probing", "until")

    def __init__(self) -> None:
        self.failures = 0
        self.opened = 0
        """How often in a row it has opened."""
        self.until = 0.0
        self.probing = False


class Breakers:
    """One for each worker that has lately failed; workers that answer cost nothing.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._circuits: dict[str, _Circuit] = {}
        self._changes = 0

    @property
    def changes(self) -> tuple[int, int]:
        """Something else whenever `barred` may answer otherwise than before; while a circuit is kept, by time alone."""
        return (self._changes, int(self._clock() * 10) if self._circuits else 0)

    def barred(self, worker_id: str) -> str | None:
        """Why a worker is to get nothing now; None when it may."""
        circuit = self._circuits.get(worker_id)
        if circuit is None or circuit.failures < _FAILURES:
            return None
        left = circuit.until - self._clock()
        if left > 0:
            return f"it has failed {circuit.failures} times in a row and is left alone for another {left:.0f} s"
        return "it is being tried with one request after its failures" if circuit.probing else None

    def sent(self, worker_id: str) -> None:
        """A request goes to the worker."""
        circuit = self._circuits.get(worker_id)
        if circuit is not None and circuit.failures >= _FAILURES:
            self._changes += 1
            circuit.probing = True

    def succeeded(self, worker_id: str) -> None:
        """The worker has answered."""
        if self._circuits and self._circuits.pop(worker_id, None) is not None:
            self._changes += 1

    def undecided(self, worker_id: str) -> None:
        """The request ended before the worker could show anything."""
        circuit = self._circuits.get(worker_id)
        if circuit is not None:
            self._changes += 1
            circuit.probing = False

    def failed(self, worker_id: str) -> None:
        """The worker broke off, could not be reached, or answered that it fails."""
        circuit = self._circuits.get(worker_id)
        if circuit is None:
            if len(self._circuits) >= _MOST:
                del self._circuits[next(iter(self._circuits))]
            circuit = self._circuits[worker_id] = _Circuit()
        self._changes += 1
        circuit.failures += 1
        circuit.probing = False
        if circuit.failures >= _FAILURES:
            circuit.until = self._clock() + min(_LONGEST_S, _FIRST_S * 2**circuit.opened)
            circuit.opened += 1

    def forget(self, known: Callable[[str], bool]) -> None:
        """Drop those of workers that are gone."""
        for worker_id in [one for one in self._circuits if not known(one)]:
            del self._circuits[worker_id]
            self._changes += 1
