"""The registry of what runs: the one door to hives and workers, for those who tell and for those who ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rbee.contract.types import WorkerState
from rbee.contract.wire import (
    AggregateHeartbeat,
    HiveHeartbeat,
    HiveInfo,
    ProcessStats,
    Registration,
    WorkerBeat,
    WorkerRecord,
)
from rbee.telemetry.aggregate import process_stats
from rbee.telemetry.describe import describe
from rbee.telemetry.hives import HiveTable
from rbee.telemetry.judgement import Limits, Presence
from rbee.telemetry.records import HiveRecord, WorkerEntry
from rbee.telemetry.resources import HiveResources, free_vram_mb, resources_of
from rbee.telemetry.selection import takes_requests
from rbee.telemetry.workers import WorkerTable


class TelemetryRegistry:
    """Hives and workers of the colony.  Not thread-safe: it belongs to the queen's event loop.

    A question costs what its answer is long; what has fallen silent since the last one is settled first, once.
    Records are the registry's own and change with the next message: read them at once, and change nothing in them.

    Args:
        clock: seconds that never go back.
        limits: ages that decide presence.
        on_change: told the model whose workers have changed, for those who wait for one to load.
        on_room: told the model one of whose workers can take a request and could not before.
        on_rival: told a worker's record when a second hive begins to measure another process under its id.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        limits: Limits | None = None,
        on_change: Callable[[str], None] = lambda model_id: None,
        on_room: Callable[[str], None] = lambda model_id: None,
        on_rival: Callable[[WorkerEntry], None] = lambda entry: None,
    ) -> None:
        self.limits = limits or Limits()
        self._hives = HiveTable(clock, self.limits)
        self._workers = WorkerTable(clock, self.limits, on_change, on_room, on_rival)

    # --- what is told --------------------------------------------------------------------------------------------

    def register_worker(self, registration: Registration) -> bool:
        """Fast path, ready callback or registry event; True when the worker was not known.

        A registration that repeats, or comes after the worker's own beats, changes no field that those own.
        """
        return self._workers.register(registration)

    def beat_worker(self, beat: WorkerBeat) -> bool:
        """The worker's own heartbeat; False when it is late or replayed and was ignored.

        Raises:
            ValueError: when its status names no state.
        """
        return self._workers.beat(beat)

    def update_hive(self, hive_id: str, url: str | None, instance_id: str | None = None) -> HiveRecord:
        """A hive was registered or discovered; its figures come with its heartbeat (`update_hive_state`)."""
        return self._hives.introduce(hive_id, url, instance_id)

    def update_hive_state(self, beat: HiveHeartbeat) -> bool:
        """A hive's heartbeat with its workers' processes; False when it is late or replayed and was ignored."""
        record = self._hives.beat(beat)
        if record is not None:
            self._measure(record, beat.workers)
        return record is not None

    def update_aggregate(self, beat: AggregateHeartbeat, *, dated: bool = True) -> bool:
        """A hive's heartbeat in the aggregate form; False when it is late or replayed and was ignored.

        The hive measures its workers and speaks for them.  The words of a worker that beats the queen itself come
        before those of its hive.  A worker of which the hive has not heard for `worker_stale_s` does not count as
        beating; one that the hive no longer lists is gone unless it speaks for itself.

        Args:
            beat: what is told.
            dated: whether its time may be right.  Otherwise it counts as told now, and the beats after it are compared
                with the last one whose time may be.
        """
        record = self._hives.aggregate(beat, dated=dated)
        if record is None:
            return False
        health = {worker.worker_id: (worker.health_status or "").lower() for worker in beat.workers}
        self._measure(record, [process_stats(worker) for worker in beat.workers], health)
        for worker in beat.workers:
            self._workers.relay(worker, beat.timestamp)
        return True

    def update_workers(self, hive_id: str, workers: Iterable[ProcessStats]) -> None:
        """Telemetry of all processes of a hive without its own heartbeat, as from its stream; it counts as one."""
        self._measure(self._hives.touch(hive_id), workers)

    def set_state(self, worker_id: str, state: WorkerState) -> bool:
        """A state told about a worker (``POST /v1/workers/update``); its next beat may tell another."""
        return self._workers.set_state(worker_id, state)

    def remove_worker(self, worker_id: str) -> bool:
        """Forget a worker; False when it was not known."""
        return self._workers.remove(worker_id)

    def remove_hive(self, hive_id: str) -> bool:
        """Forget a hive; its workers stay as long as they beat.  False when it was not known."""
        return self._hives.beats.remove(hive_id) is not None

    def cleanup(self) -> list[str]:
        """Forget workers that are gone and hives that have long been silent; returns the workers' ids."""
        self._hives.cleanup()
        return self._workers.cleanup()

    # --- the queen's own knowledge of a worker -------------------------------------------------------------------

    def reserve(self, worker_id: str) -> None:
        """A request is about to be sent there."""
        self._workers.reserve(worker_id)

    def release(self, worker_id: str, first_byte_s: float | None = None) -> None:
        """A request sent there has ended."""
        self._workers.release(worker_id, first_byte_s)

    def version(self) -> int:
        """Another number once any worker has changed in more than the requests that the queen has sent to it.

        While it is the same, so is everything that is asked of workers but their free slots, latency and order.
        """
        return self._workers.version()

    def mark_failed(self, worker_id: str) -> None:
        """A connection to the worker broke: nothing goes there until it has spoken again."""
        self._workers.mark_failed(worker_id)

    # --- hives ---------------------------------------------------------------------------------------------------

    def get_hive_state(self, hive_id: str) -> HiveRecord | None:
        """The hive's record, online or not; None when not known."""
        return self._hives.beats.get(hive_id)

    def get_hive(self, hive_id: str) -> HiveInfo | None:
        """What the hive says of itself, online or not; None when not known or when it has not said anything."""
        record = self._hives.beats.get(hive_id)
        return None if record is None else record.info

    def list_all_hives(self) -> list[HiveRecord]:
        """Every hive known, in the order of entry."""
        return self._hives.beats.list_all()

    def list_active_hives(self) -> list[HiveRecord]:
        """Hives that are online."""
        return self._hives.beats.list_online()

    def list_online_hives(self) -> list[HiveInfo]:
        """What the hives that are online say of themselves; those that have only been introduced are left out."""
        return [record.info for record in self._hives.beats.list_online() if record.info is not None]

    def list_available_hives(self) -> list[HiveRecord]:
        """Hives that are online and do not say that they are stopping."""
        return self._hives.beats.list_available()

    def available_hive_count(self) -> int:
        """How many hives are online and do not say that they are stopping."""
        return self._hives.beats.count_available()

    def rival(self, hive_id: str) -> HiveInfo | None:
        """Another hive that goes by this id and is not heard; None when there is none."""
        return self._hives.rival(hive_id)

    def online_hive_count(self) -> int:
        """How many hives are online."""
        return self._hives.beats.count_online()

    def is_hive_online(self, hive_id: str) -> bool:
        """True while the hive beats."""
        return self._hives.beats.is_online(hive_id)

    def hive_age(self, hive_id: str) -> float | None:
        """Seconds since the hive's last sign of life; None when it is not known."""
        return self._hives.beats.age(hive_id)

    def hive_count(self) -> int:
        """How many hives are known, online or not."""
        return self._hives.beats.count_total()

    def get_available_resources(self, hive_id: str) -> HiveResources | None:
        """What the hive's machine has and what is free; None when the hive is not known."""
        record = self._hives.beats.get(hive_id)
        return None if record is None else resources_of(record, online=self.is_hive_online(hive_id))

    def get_worker_count(self, hive_id: str) -> int | None:
        """How many workers there are on a hive's machine, in any state; None when nobody knows the hive."""
        count = self._workers.indexes().by_hive.count(hive_id)
        return count if count or self._hives.beats.get(hive_id) is not None else None

    # --- workers: the merged records -----------------------------------------------------------------------------

    def get_worker(self, worker_id: str) -> WorkerEntry | None:
        """The worker's record; None when not known."""
        return self._workers.get(worker_id)

    def get_worker_url(self, worker_id: str) -> str | None:
        """Address of a worker; None when it is not known."""
        entry = self._workers.get(worker_id)
        return None if entry is None else entry.url

    def list_all_workers(self) -> list[WorkerEntry]:
        """Every worker known, in any state, in the order of entry."""
        return self._workers.all()

    def total_worker_count(self) -> int:
        """How many workers are known, in any state."""
        return self._workers.count()

    def list_online_workers(self) -> list[WorkerEntry]:
        """Workers that beat, observed or not, in any state; the longest silent first."""
        return self._workers.beating()

    def routable_worker_count(self) -> int:
        """How many workers take requests now."""
        return self._workers.indexes().routable_count()

    def list_routable_workers(self) -> list[WorkerEntry]:
        """Workers that take requests now."""
        return self._workers.entries(self._workers.indexes().routable())

    def find_idle_workers(self) -> list[WorkerEntry]:
        """Workers that take requests now, have their model loaded and have none in hand, as far as is known."""
        return self._workers.entries(self._workers.indexes().idle.ids())

    def find_workers_by_model(self, model_id: str) -> list[WorkerEntry]:
        """Workers that serve or load a model of that canonical name, in any state."""
        return self._workers.entries(self._workers.indexes().by_model.get(model_id))

    def find_workers_by_backend(self, backend: str) -> list[WorkerEntry]:
        """Workers whose engine drives its device in that way, in any state."""
        return self._workers.entries(self._workers.indexes().by_backend.get(backend))

    def get_workers_on_hive(self, hive_id: str) -> list[WorkerEntry]:
        """Workers on a hive's machine, in any state."""
        return self._workers.entries(self._workers.indexes().by_hive.get(hive_id))

    def find_best_worker_for_model(self, model_id: str) -> WorkerEntry | None:
        """The worker to which a request for a model of that canonical name goes best.

        Of the model's workers that take requests: one with a free slot, the lowest GPU load, most free slots, the
        lowest latency, and by id among equals.  Where there is none: the idle worker of any model with the lowest
        GPU load, which would have to load this one.  What is unknown comes after what is known.  None when nobody
        will do.
        """
        indexes = self._workers.indexes()
        found = indexes.best(model_id) or indexes.idle.first()
        return None if found is None else self._workers.get(found)

    def model_called(self, name: str) -> str | None:
        """Canonical name of the model that workers serve under a name, short or canonical; None when none does."""
        indexes = self._workers.indexes()
        if indexes.by_model.count(name):
            return name
        entry = next(iter(self._workers.entries(indexes.by_name.get(name))), None)
        return None if entry is None else entry.model_id

    def models(self) -> list[str]:
        """Canonical names of the models that some worker serves or loads, sorted."""
        return sorted(self._workers.indexes().by_model.keys())

    def rival_hive(self, entry: WorkerEntry) -> str | None:
        """Another hive that measures another process under the worker's id, and is not heard; None for none."""
        return self._workers.rival(entry)

    def presence(self, entry: WorkerEntry) -> Presence:
        """What the worker's silence means now."""
        return self._workers.presence(entry.worker_id)

    @property
    def worker_seen_at(self) -> Callable[[str], float | None]:
        """Tells when a worker, by its id, last told of itself, by the clock; None when it has not."""
        return self._workers.seen_at

    def is_routable(self, entry: WorkerEntry) -> bool:
        """Whether requests may be sent to the worker now."""
        return takes_requests(entry, self.presence(entry))

    def describe(self, entry: WorkerEntry) -> WorkerRecord:
        """The worker as the API lists it, with the age of each source."""
        return describe(
            entry,
            self.presence(entry),
            routable=self.is_routable(entry),
            beat_age_s=self._workers.beat_age(entry.worker_id),
            sample_age_s=self._workers.sample_age(entry.worker_id),
        )

    # --- workers: their processes, as hives measure them now -----------------------------------------------------

    def get_workers(self, hive_id: str) -> list[ProcessStats] | None:
        """The workers' processes that a hive measures; None when it is not known, is down or has told none yet."""
        record = self._hives.beats.get(hive_id)
        if record is None or record.worker_ids is None or not self.is_hive_online(hive_id):
            return None
        return self._samples(record.worker_ids, hive_id)

    def get_all_workers(self) -> list[ProcessStats]:
        """The processes of all workers that some hive measures now."""
        return self._workers.measured()

    def find_workers_with_model(self, model_id: str) -> list[ProcessStats]:
        """The processes measured now whose workers serve or load a model of that canonical name."""
        return self._samples(self._workers.indexes().by_model.get(model_id))

    def find_workers_with_capacity(self, vram_mb: int) -> list[ProcessStats]:
        """The processes measured now on whose GPU at least so many MiB are free; never one of which that is unknown."""
        return self._samples(self._workers.indexes().vram_free.at_least(vram_mb))

    def _samples(self, worker_ids: Iterable[str], hive_id: str | None = None) -> list[ProcessStats]:
        found = (self._workers.sample_now(worker_id, hive_id) for worker_id in worker_ids)
        return [sample for sample in found if sample is not None]

    def _measure(
        self, record: HiveRecord, samples: Iterable[ProcessStats], health: dict[str, str] | None = None
    ) -> None:
        """Take in all samples of a hive; its workers that are not among them have ended."""
        seen = set()
        for sample in samples:
            worker_id = sample.worker_id
            if worker_id is not None:
                seen.add(worker_id)
                told = None if health is None else health[worker_id]
                self._workers.measure(record.hive_id, worker_id, sample, free_vram_mb(sample, record.node), told)
        for worker_id in (record.worker_ids or frozenset()) - seen:
            self._workers.ended(record.hive_id, worker_id)
        record.worker_ids = frozenset(seen)
