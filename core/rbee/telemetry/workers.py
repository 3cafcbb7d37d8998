"""The workers: their records, when each source last spoke, and what follows from the silence of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from rbee.contract.types import WorkerState
from rbee.contract.wire import AggregateWorker, ProcessStats, Registration, WorkerBeat
from rbee.telemetry import merge
from rbee.telemetry.aggregate import apply_relayed, silence_s
from rbee.telemetry.heartbeats import HeartbeatRegistry
from rbee.telemetry.indexes import WorkerIndexes
from rbee.telemetry.judgement import Limits, Presence, presence_of
from rbee.telemetry.ranking import Ranking
from rbee.telemetry.records import WorkerEntry
from rbee.telemetry.selection import load_order, takes_requests

_LATENCY_WEIGHT = 0.2
_ENDS_KEPT = 63
_ROUNDING_S = 1e-6
"""Sums and differences of times differ by less."""


class WorkerTable:
    """Owner of the worker records; every change of one goes through here, so that the indexes never lag.

    Args:
        clock: seconds that never go back.
        limits: ages that decide presence.
        on_change: told the model whose workers have changed.
        on_room: told the model one of whose workers can take a request and could not before.
        on_rival: told a worker's record when a second hive begins to measure another process under its id.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        limits: Limits,
        on_change: Callable[[str], None],
        on_room: Callable[[str], None] = lambda model_id: None,
        on_rival: Callable[[WorkerEntry], None] = lambda entry: None,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._on_change = on_change
        self._on_room = on_room
        self._on_rival = on_rival
        self._entries: dict[str, WorkerEntry] = {}
        self._beats: HeartbeatRegistry[WorkerEntry] = HeartbeatRegistry(
            clock, limits.worker_stale_s, on_silent=self._silent
        )
        self._samples: HeartbeatRegistry[ProcessStats] = HeartbeatRegistry(
            clock, limits.hive_down_s, on_silent=self._silent
        )
        self.seen_at = self._beats.seen_at
        self._indexes = WorkerIndexes()
        self._version = 0
        self._moved: dict[str, WorkerEntry] = {}
        """Workers whose order has changed by the queen's own requests, and which the indexes do not know yet."""
        self._ending: Ranking[float] = Ranking()

    # --- what is told --------------------------------------------------------------------------------------------

    def register(self, registration: Registration) -> bool:
        """See `TelemetryRegistry.register_worker`."""
        worker_id = registration.identity or ""
        known = self._entries.get(worker_id)
        instance = registration.instance_id
        if known is not None and instance and instance == known.superseded:
            return False
        entry = known or WorkerEntry(worker_id=worker_id)
        fresh = known is None or (instance is not None and instance != known.instance_id)
        if fresh and known is not None:
            entry = merge.successor(known)
        merge.apply_identity(entry, registration)
        if fresh or self._beats.get(worker_id) is None:
            merge.apply_first_words(entry, registration)
            self._beats.update(worker_id, entry)
        self._enter(entry)
        return known is None

    def beat(self, beat: WorkerBeat) -> bool:
        """See `TelemetryRegistry.beat_worker`."""
        entry = self._entries.get(beat.id) or WorkerEntry(worker_id=beat.id)
        if merge.is_late(entry, beat, beating=self._beats.is_online(beat.id)):
            return False
        if entry.instance_id is not None and beat.instance_id != entry.instance_id:
            entry = merge.successor(entry)
        merge.apply_beat(entry, beat, self._clock())
        self._beats.update(beat.id, entry)
        self._enter(entry)
        return True

    def measure(
        self, hive_id: str, worker_id: str, sample: ProcessStats, vram_free_mb: int | None, health: str | None = None
    ) -> None:
        """A hive has measured a worker's process; not heard while another hive measures another process of that id."""
        entry = self._entries.get(worker_id)
        if entry is None:
            entry = self._entries[worker_id] = WorkerEntry(worker_id=worker_id)
        elif self._is_another(entry, hive_id, sample):
            new = self.rival(entry) != hive_id
            entry.rival_hive, entry.rival_at = hive_id, self._clock()
            if new:
                self._on_rival(entry)
            return
        entry.sample, entry.sampled_by, entry.hive_id = sample, hive_id, hive_id
        entry.vram_free_mb, entry.health = vram_free_mb, health
        entry.pid = sample.pid if sample.pid is not None else entry.pid
        entry.model_id = entry.model_id or sample.model
        self._samples.update(worker_id, sample)
        if self._refresh(entry):
            self._tell(entry)

    def relay(self, worker: AggregateWorker, timestamp: datetime) -> None:
        """A hive speaks for a worker that it has just measured; not heard while the worker speaks for itself."""
        entry = self._entries[worker.worker_id]
        if entry.voice == "worker" and self._beats.is_online(worker.worker_id):
            return
        heard = worker.last_heartbeat
        if heard is None:
            # Who has spoken for himself and fallen silent is not alive because his hive lists him.
            alive = entry.voice != "worker"
        else:
            alive = heard != entry.heard_at and silence_s(timestamp, heard) < self._limits.worker_stale_s
        entry.heard_at = heard
        apply_relayed(entry, worker)
        if alive:
            entry.failed_at = None
            self._beats.update(worker.worker_id, entry)
        self._enter(entry)

    def ended(self, hive_id: str, worker_id: str) -> None:
        """A hive measures a process no longer; without this it would look observed for seconds."""
        entry = self._entries.get(worker_id)
        if entry is not None and entry.rival_hive == hive_id:
            entry.rival_hive = entry.rival_at = None
        if entry is None or entry.sampled_by != hive_id:
            return
        self._samples.remove(worker_id)
        entry.sample = entry.vram_free_mb = entry.health = None
        if entry.voice == "hive":
            # Its hive was all that spoke for it.
            entry.voice = None
            self._beats.remove(worker_id)
        if self._refresh(entry):
            self._tell(entry)

    def set_state(self, worker_id: str, state: WorkerState) -> bool:
        """See `TelemetryRegistry.set_state`."""
        entry = self._entries.get(worker_id)
        if entry is None:
            return False
        entry.state = state
        self._enter(entry)
        return True

    def remove(self, worker_id: str) -> bool:
        """See `TelemetryRegistry.remove_worker`."""
        entry = self._entries.pop(worker_id, None)
        if entry is None:
            return False
        self._beats.remove(worker_id)
        self._samples.remove(worker_id)
        self._indexes.discard(worker_id)
        self._ending.discard(worker_id)
        self._moved.pop(worker_id, None)
        self._version += 1
        self._tell(entry)
        return True

    # --- what the queen does with it -----------------------------------------------------------------------------

    def reserve(self, worker_id: str) -> None:
        """See `TelemetryRegistry.reserve`."""
        entry = self._entries.get(worker_id)
        if entry is not None:
            entry.reserved += 1
            entry.last_used_at = self._clock()
            self._moves(entry, full=entry.slots_free == 0)

    def release(self, worker_id: str, first_byte_s: float | None) -> None:
        """See `TelemetryRegistry.release`."""
        entry = self._entries.get(worker_id)
        if entry is None:
            return
        full = entry.slots_free == 0
        entry.reserved = max(0, entry.reserved - 1)
        entry.last_used_at = self._clock()
        entry.ended_at = (*entry.ended_at[-_ENDS_KEPT:], entry.last_used_at)
        if first_byte_s is not None:
            before = entry.latency_s if entry.latency_s is not None else first_byte_s
            entry.latency_s = before + _LATENCY_WEIGHT * (first_byte_s - before)
        self._moves(entry, full=full)

    def mark_failed(self, worker_id: str) -> None:
        """See `TelemetryRegistry.mark_failed`."""
        entry = self._entries.get(worker_id)
        if entry is not None:
            entry.failed_at = self._clock()
            self._refresh(entry)

    # --- what is asked -------------------------------------------------------------------------------------------

    def get(self, worker_id: str) -> WorkerEntry | None:
        """The record; None when not known."""
        return self._entries.get(worker_id)

    def all(self) -> list[WorkerEntry]:
        """Every record, in the order of entry."""
        return list(self._entries.values())

    def count(self) -> int:
        """How many workers are known."""
        return len(self._entries)

    def entries(self, worker_ids: Iterable[str]) -> list[WorkerEntry]:
        """The records of known workers."""
        return [self._entries[worker_id] for worker_id in worker_ids]

    def indexes(self) -> WorkerIndexes:
        """The indexes as they are at this moment; to be read at once and not kept."""
        self._beats.settle()
        self._samples.settle()
        if self._moved:
            moved, self._moved = self._moved, {}
            for entry in moved.values():
                self._place(entry)
        return self._indexes

    def version(self) -> int:
        """See `TelemetryRegistry.version`."""
        self._beats.settle()
        self._samples.settle()
        return self._version

    def beating(self) -> list[WorkerEntry]:
        """The records of workers that beat, the longest silent first."""
        return self._beats.list_online()

    def measured(self) -> list[ProcessStats]:
        """The newest sample of each worker that a hive measures now."""
        return self._samples.list_online()

    def sample_now(self, worker_id: str, hive_id: str | None = None) -> ProcessStats | None:
        """The newest sample while it is fresh, of a given hive if one is given; else None."""
        entry = self._entries.get(worker_id)
        if entry is None or (hive_id is not None and entry.sampled_by != hive_id):
            return None
        return entry.sample if self._samples.is_online(worker_id) else None

    def beat_age(self, worker_id: str) -> float | None:
        """Seconds since the worker's last word (registration counts until its first beat); None when there is none."""
        return self._beats.age(worker_id)

    def sample_age(self, worker_id: str) -> float | None:
        """Seconds since the worker was measured; None when it is not, or its process has ended."""
        return self._samples.age(worker_id)

    def rival(self, entry: WorkerEntry) -> str | None:
        """See `TelemetryRegistry.rival_hive`."""
        if entry.rival_at is None or self._clock() - entry.rival_at >= self._limits.hive_down_s:
            return None
        return entry.rival_hive

    def presence(self, worker_id: str) -> Presence:
        """What the worker's silence means now."""
        return presence_of(beating=self._beats.is_online(worker_id), observed=self._samples.is_online(worker_id))

    def cleanup(self) -> list[str]:
        """See `TelemetryRegistry.cleanup`; looks only at workers whose time may have come."""
        self.indexes()
        due = self._ending.take_up_to(self._clock() + _ROUNDING_S)
        gone = []
        for worker_id in due:
            entry = self._entries[worker_id]
            if self._is_gone(entry):
                self.remove(worker_id)
                gone.append(worker_id)
            else:
                self._ending.put(worker_id, self._ends_at(entry))
        return gone

    # --- within --------------------------------------------------------------------------------------------------

    def _is_another(self, entry: WorkerEntry, hive_id: str, sample: ProcessStats) -> bool:
        """Whether a sample is of another process than the one that another hive measures now under the same id."""
        present = entry.sample
        if present is None or entry.sampled_by == hive_id or not self._samples.is_online(entry.worker_id):
            return False
        return sample.pid is not None and present.pid is not None and sample.pid != present.pid

    def _enter(self, entry: WorkerEntry) -> None:
        self._entries[entry.worker_id] = entry
        self._refresh(entry)
        self._tell(entry)

    def _tell(self, entry: WorkerEntry) -> None:
        if entry.model_id is not None:
            self._on_change(entry.model_id)

    def _silent(self, worker_id: str) -> None:
        self._refresh(self._entries[worker_id])

    def _moves(self, entry: WorkerEntry, *, full: bool) -> None:
        """The order of a worker has changed: who waits for a slot hears at once, the indexes when they are asked."""
        if full:
            self._moved.pop(entry.worker_id, None)
            self._place(entry)
        else:
            self._moved[entry.worker_id] = entry

    def _refresh(self, entry: WorkerEntry) -> bool:
        """Something has changed about a worker; whether that changed where or whether it is found."""
        self._version += 1
        self._moved.pop(entry.worker_id, None)
        if entry.serves_since is None and entry.state.serving:
            entry.serves_since = self._clock()
        return self._place(entry)

    def _place(self, entry: WorkerEntry) -> bool:
        """Bring the indexes in line with a record."""
        worker_id = entry.worker_id
        measured = self._samples.is_online(worker_id)
        presence = presence_of(beating=self._beats.is_online(worker_id), observed=measured)
        sample = entry.sample if measured else None
        order = None
        if takes_requests(entry, presence):
            order = load_order(entry, None if sample is None else sample.gpu_util_pct)
        if presence is Presence.OFFLINE:
            self._ending.put(worker_id, self._ends_at(entry))
        else:
            self._ending.discard(worker_id)
        change = self._indexes.put(entry, order, entry.vram_free_mb if measured else None)
        if change.opened and entry.model_id is not None:
            self._on_room(entry.model_id)
        return change.told

    def _patience_s(self, entry: WorkerEntry) -> float:
        return self._limits.worker_stale_s if entry.state is WorkerState.STOPPED else self._limits.worker_gone_s

    def _ends_at(self, entry: WorkerEntry) -> float:
        seen = (self._beats.seen_at(entry.worker_id), self._samples.seen_at(entry.worker_id))
        last = max((moment for moment in seen if moment is not None), default=None)
        return self._clock() if last is None else last + self._patience_s(entry)

    def _is_gone(self, entry: WorkerEntry) -> bool:
        """Nobody has heard of it for long, or nobody but a hive ever had, and that one measures it no longer."""
        if self.presence(entry.worker_id) is not Presence.OFFLINE:
            return False
        ages = (self._beats.age(entry.worker_id), self._samples.age(entry.worker_id))
        known = [age for age in ages if age is not None]
        return not known or min(known) >= self._patience_s(entry)
