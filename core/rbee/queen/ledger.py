"""What workers needed of memory: seen by telemetry, learned from, and kept over the queen's lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rbee.contract.errors import RbeeError
from rbee.contract.wire import LearnedMemory, ProcessStats, utc_now
from rbee.scheduler import Estimate, Sight, blank, learn, peak_bytes
from rbee.storage.later import Later
from rbee.telemetry import WorkerEntry

if TYPE_CHECKING:
    from rbee.queen.ledger_store import LedgerStore

log = logging.getLogger(__name__)

MOST = 10_000
"""Of so many models, engines, backends and machines something is kept, those seen last."""

_WRITE_EVERY_S = 1.0

_Key = tuple[str, str, str, str]
"""Canonical name, engine, backend, hive."""


class _Life:
    """One worker's process, from when it first served."""

    __slots__ = ("context_length", "estimate", "filled", "first", "key", "peak", "pid", "slots", "tokens", "version")

    def __init__(self, pid: int | None) -> None:
        self.pid = pid
        self.key: _Key | None = None
        self.estimate: Estimate | None = None
        self.peak = 0
        self.first = False
        self.tokens = 0
        self.filled = 0.0
        self.context_length: int | None = None
        self.slots: int | None = None
        self.version: str | None = None


class Ledger:
    """Owner of what was learned.

    Args:
        path: of the file.
        worker: what is known of a worker.
        estimate: what a worker like that is thought to need, without any reserve.
        most: as `MOST`.
        write_every_s: how often what has changed is written.
    """

    def __init__(
        self,
        path: Path,
        worker: Callable[[str], WorkerEntry | None],
        estimate: Callable[[WorkerEntry], Estimate | None],
        most: int = MOST,
        write_every_s: float = _WRITE_EVERY_S,
    ) -> None:
        self._store = Later(path, lambda: _store_at(path))
        self._worker = worker
        self._estimate = estimate
        self._most = most
        self._write_every_s = write_every_s
        self._learned: dict[_Key, LearnedMemory] = {}
        """The longest not seen first."""
        self._models: dict[str, dict[_Key, None]] = {}
        self._lives: dict[str, dict[str, _Life]] = {}
        self._changed: dict[_Key, None] = {}
        self._dirty = asyncio.Event()

    async def open(self) -> None:
        """Read the file, if there is one; a damaged one is set aside.

        Raises:
            ConfigurationError: it cannot be opened.
        """
        for one in await self._store.left(lambda store: store.list()) or ():
            self._put(one)
        self._changed.clear()

    async def close(self) -> None:
        """Write what has not been written, and close the file."""
        try:
            await self._write()
        except RbeeError as error:
            log.warning("what was learned of workers' memory could not be written: %s", error.message)
        await self._store.close()

    async def run(self) -> None:
        """Write what changes, for ever; what is learned in bursts is written once."""
        while True:
            await self._dirty.wait()
            await asyncio.sleep(self._write_every_s)
            await self._write()

    def observe(self, hive_id: str, samples: Sequence[ProcessStats]) -> None:
        """A hive has measured its workers, and telemetry knows of it.

        Args:
            hive_id: whose.
            samples: of all its workers: one that is not among them has ended.
        """
        lives = self._lives.get(hive_id)
        if lives is None:
            if not samples:
                return
            lives = self._lives[hive_id] = {}
        seen = set()
        for sample in samples:
            worker_id = sample.worker_id
            if worker_id is None:
                continue
            seen.add(worker_id)
            life = lives.get(worker_id)
            if life is None or life.pid != sample.pid:
                if life is not None:
                    self._over(life)
                life = lives[worker_id] = _Life(sample.pid)
            self._look(life, hive_id, worker_id, sample)
        for worker_id in lives.keys() - seen:
            self._over(lives.pop(worker_id))
        if not lives:
            del self._lives[hive_id]

    def served(self, hive_id: str, worker_id: str, tokens: int) -> None:
        """A worker has answered a request of so many tokens, its prompt included."""
        life = self._lives.get(hive_id, {}).get(worker_id)
        if life is None or tokens <= life.tokens:
            return
        life.tokens = tokens
        if life.context_length:
            # What other slots held meanwhile is not known.
            life.filled = min(1.0, tokens / (life.context_length * (life.slots or 1)))

    def forget_hives(self, known: Callable[[str], bool]) -> None:
        """Look no longer for workers of hives that are gone; what they have taught stays."""
        for hive_id in [hive_id for hive_id in self._lives if not known(hive_id)]:
            for life in self._lives.pop(hive_id).values():
                self._over(life)

    def learned(self, model_ids: Iterable[str], hive_id: str) -> tuple[LearnedMemory, ...]:
        """What is known of models: of the machine itself, and of others where it has not had them.

        Args:
            model_ids: canonical names.
            hive_id: the machine.
        """
        known: dict[tuple[str, str, str], LearnedMemory] = {}
        for model_id in model_ids:
            for key in self._models.get(model_id, ()):
                one = self._learned[key]
                known[key[:3]] = max(
                    one, known.get(key[:3], one), key=lambda one: (one.hive_id == hive_id, one.reserve_bytes)
                )
        return tuple(known.values())

    def all(self) -> list[LearnedMemory]:
        """All that is known, the newest first."""
        return sorted(self._learned.values(), key=lambda one: one.observed_at, reverse=True)

    def seen(self) -> dict[str, Sight]:
        """Workers that live, by id, with what they were thought to need and have used."""
        return {
            worker_id: Sight(estimate=life.estimate, peak_bytes=life.peak, filled=life.filled)
            for lives in self._lives.values()
            for worker_id, life in lives.items()
            if life.estimate is not None
        }

    def _look(self, life: _Life, hive_id: str, worker_id: str, sample: ProcessStats) -> None:
        entry = self._worker(worker_id)
        # Who computes elsewhere, and so got no thread, says nothing of the model.
        if entry is None or not entry.state.serving or entry.hive_id != hive_id or sample.threads == 0:
            return
        if entry.backend is None or entry.model_id is None or entry.implementation is None:
            return
        peak = peak_bytes(sample, entry.backend)
        if peak is None or peak <= life.peak:
            return
        if life.key is None:
            life.estimate = self._estimate(entry)
            if life.estimate is None:
                return
            life.key = (entry.model_id, entry.implementation, entry.backend, hive_id)
            life.context_length, life.slots = entry.context_length, entry.slots_total
            life.version = entry.version
            life.first = life.key not in self._learned
        life.peak = peak
        self._take(life, over=False)

    def _over(self, life: _Life) -> None:
        """A worker has ended.  Only one that has answered says that less is enough."""
        if life.key is not None and life.tokens:
            self._take(life, over=True)

    def _take(self, life: _Life, *, over: bool) -> None:
        if life.key is None or life.estimate is None:
            return
        sight = Sight(estimate=life.estimate, peak_bytes=life.peak, filled=life.filled)
        # What it has taught itself is no knowledge of others: as it goes on, it is learned anew.
        before = None if life.first else self._learned.get(life.key)
        version = life.version
        if before is not None and before.engine_version is not None and version != before.engine_version:
            # What another version needed is the best guess, until a whole life of this one says better.
            if over and version is not None:
                before = None
            else:
                version = before.engine_version
        identity = blank(
            *life.key, utc_now(), context_length=life.context_length, slots=life.slots, engine_version=version
        )
        self._put(learn(before, identity, sight, over=over))

    def _put(self, one: LearnedMemory) -> None:
        key = (one.model_id, one.engine, one.backend, one.hive_id)
        # The newest last, so that the oldest are forgotten.
        self._learned.pop(key, None)
        self._learned[key] = one
        self._models.setdefault(one.model_id, {})[key] = None
        self._changed[key] = None
        if len(self._learned) > self._most:
            oldest = next(iter(self._learned))
            del self._learned[oldest]
            self._changed[oldest] = None
            keys = self._models[oldest[0]]
            del keys[oldest]
            if not keys:
                del self._models[oldest[0]]
        self._dirty.set()

    async def _write(self) -> None:
        changed, self._changed = self._changed, {}
        self._dirty.clear()
        if not changed:
            return
        try:
            store = await self._store.made()
            await store.put(
                [self._learned[key] for key in changed if key in self._learned],
                [key for key in changed if key not in self._learned],
            )
        except BaseException:
            self._changed = {**changed, **self._changed}
            self._dirty.set()
            raise


def _store_at(path: Path) -> LedgerStore:
    from rbee.queen.ledger_store import LedgerStore

    return LedgerStore(path)
