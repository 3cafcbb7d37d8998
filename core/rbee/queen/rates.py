"""How quick each worker is, from the requests that it has answered and from trials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from rbee.contract.types import WorkerState
from rbee.queen.measuring import Measured
from rbee.telemetry import WorkerEntry

_WEIGHT = 0.25
"""Of the newest measurement in the moving average, at the least: the first few count alike."""

_WHOLE_PROMPT = 256
"""Tokens of a prompt that counts in full: a shorter one is slower than the worker."""

_ASTRAY = 2.0
"""A measurement that is off by more than this factor counts as off by this: one that went astray changes little, and a
worker that has changed is followed within some requests."""

_GROUPS = 11
"""1 answer at a time, 2, up to 4, up to 8, ... up to 1024 and more."""

_BEGINNING = frozenset({WorkerState.STARTING, WorkerState.LOADING})

_TRIED = 4
"""Requests that a trial counts as: the next ones correct it, and none overturns it."""


class Kind(NamedTuple):
    """What workers have in common that are equally quick.

    Attributes:
        model_id: canonical name of the model.
        engine: that runs it.
        hive_id: machine.
        device: of the machine; empty when the worker does not tell.
        slots: answers at the same time; 0 when the worker does not tell.
    """

    model_id: str
    engine: str
    hive_id: str
    device: str
    slots: int


def kind_of(entry: WorkerEntry) -> Kind | None:
    """A worker's kind; None before it has told enough of itself."""
    if entry.model_id is None or entry.implementation is None or entry.hive_id is None:
        return None
    if entry.slots_total is None and entry.state in _BEGINNING:
        # It will tell.
        return None
    return Kind(entry.model_id, entry.implementation, entry.hive_id, entry.device or "", entry.slots_total or 0)


def _is_of(kind: Kind, entry: WorkerEntry) -> bool:
    """Whether a worker still is of that kind; cheap, since it is asked with every request."""
    return kind[0] == entry.model_id and kind[4] == (entry.slots_total or 0) and kind[1] == entry.implementation


class Average:
    """A moving average of tokens a second.

    Attributes:
        tok_s: as it is now.
        measurements: how many are in it.
    """

    __slots__ = ("measurements", "tok_s")

    def __init__(self, tok_s: float, measurements: int = 1) -> None:
        self.tok_s = tok_s
        self.measurements = measurements

    def move(self, newest: float, share: float = 1.0) -> None:
        """Take one more measurement in.

        Args:
            newest: tokens a second.
            share: how much it counts, 0 to 1.
        """
        tok_s = self.tok_s
        if newest > tok_s * _ASTRAY:
            newest = tok_s * _ASTRAY
        elif newest < tok_s / _ASTRAY:
            newest = tok_s / _ASTRAY
        self.measurements += 1
        self.tok_s = tok_s + share * max(_WEIGHT, 1 / self.measurements) * (newest - tok_s)

    def copy(self) -> Average:
        """Another one, which moves by itself."""
        return Average(self.tok_s, self.measurements)


class Speed:
    """One worker's, or one kind's.

    Attributes:
        prefill: of a prompt; None before one was measured.
        decode: of one answer, by how many ran at the same time: index 0 for one, 1 for two, 2 for up to four, and so
            on; None before one was measured.
    """

    __slots__ = ("decode", "kind", "prefill")

    def __init__(self, kind: Kind | None = None) -> None:
        self.kind = kind
        self.prefill: Average | None = None
        self.decode: list[Average | None] = [None] * _GROUPS

    def like(self, other: Speed) -> None:
        """Begin as another."""
        self.prefill = None if other.prefill is None else other.prefill.copy()
        self.decode = [None if one is None else one.copy() for one in other.decode]

    def at(self, beside: int) -> float | None:
        """Tokens a second that one more answer would get beside others; None before any was measured."""
        group = min(beside.bit_length(), _GROUPS - 1)
        found = self.decode[group]
        if found is not None:
            return found.tok_s
        if not any(self.decode):
            return None
        for lower in range(group - 1, -1, -1):
            found = self.decode[lower]
            if found is not None:
                # Beyond what was measured the speed is shared.
                return found.tok_s * (1 << lower) / (beside + 1)
        return next((one.tok_s for one in self.decode if one is not None), None)


class Rates:
    """Speeds by worker.

    Args:
        past: what is known of a kind from before; None when nothing is.
    """

    def __init__(self, past: Callable[[Kind], Speed | None] = lambda _: None) -> None:
        self._past = past
        self._unknown = Speed()
        self._by_worker: dict[str, Speed] = {}
        self._fresh: dict[str, Speed] = {}
        """Those with something new since they were last collected."""

    def speed(self, entry: WorkerEntry) -> Speed:
        """A worker's speed, which begins as that of its kind."""
        found = self._by_worker.get(entry.worker_id)
        return self._begun(entry) if found is None else found

    def learn(self, entry: WorkerEntry, found: Measured, beside: int) -> None:
        """A request has told something.

        Args:
            entry: its worker.
            found: what it tells.
            beside: requests that ran there at the same time.
        """
        speed = self._changing(entry)
        if found.prefill_tok_s is not None:
            if speed.prefill is None:
                speed.prefill = Average(found.prefill_tok_s)
            else:
                speed.prefill.move(found.prefill_tok_s, min(1.0, found.computed / _WHOLE_PROMPT))
        if found.decode_tok_s is not None:
            group = min(beside.bit_length(), _GROUPS - 1)
            average = speed.decode[group]
            if average is None:
                speed.decode[group] = Average(found.decode_tok_s)
            else:
                average.move(found.decode_tok_s)

    def tried(self, entry: WorkerEntry, prefill: float | None, decode: Mapping[int, float]) -> None:
        """A trial has measured the worker alone: what was known before is void.

        Args:
            entry: the worker.
            prefill: tokens of a prompt a second; None when that could not be measured.
            decode: tokens a second of one answer, by the number of answers at the same time.
        """
        speed = self._changing(entry)
        if prefill is not None:
            speed.prefill = Average(prefill, _TRIED)
        if decode:
            speed.decode = [None] * _GROUPS
        for streams, tok_s in sorted(decode.items()):
            speed.decode[min((streams - 1).bit_length(), _GROUPS - 1)] = Average(tok_s, _TRIED)

    def collect(self) -> Iterator[tuple[Kind, Speed]]:
        """Speeds with something new since the last call, by kind."""
        fresh, self._fresh = self._fresh, {}
        for speed in fresh.values():
            if speed.kind is not None:
                yield speed.kind, speed

    def forget(self, known: Callable[[str], bool]) -> None:
        """Drop those of workers that are gone; what is new of them is still collected."""
        for worker_id in [one for one in self._by_worker if not known(one)]:
            del self._by_worker[worker_id]

    def _begun(self, entry: WorkerEntry) -> Speed:
        kind = kind_of(entry)
        if kind is None:
            return self._unknown
        speed = self._by_worker[entry.worker_id] = Speed(kind)
        past = next((one for one in self._fresh.values() if one.kind == kind), None) or self._past(kind)
        if past is not None:
            speed.like(past)
        return speed

    def _changing(self, entry: WorkerEntry) -> Speed:
        speed = self.speed(entry)
        if speed is self._unknown:
            # It tells too little of itself for others to begin like it.
            speed = self._by_worker[entry.worker_id] = Speed()
        elif speed.kind is None:
            speed.kind = kind_of(entry)
        elif not _is_of(speed.kind, entry) and kind_of(entry) is not None:
            # Another one under the same id.
            speed = self._begun(entry)
        self._fresh[entry.worker_id] = speed
        return speed
