"""The registry of what runs: upserts from three sources, queries from indexes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from rbee.contract.types import WorkerState
from rbee.contract.wire import HiveHeartbeat, HiveInfo, Registration, WorkerBeat, WorkerRecord
from rbee.telemetry.heartbeats import HeartbeatRegistry
from rbee.telemetry.index import Index
from rbee.telemetry.judgement import Limits, Presence, routable, worker_presence
from rbee.telemetry.records import HiveRecord, WorkerEntry

_LATENCY_WEIGHT = 0.2
_BEAT_DELAY_S = 2.0
_ENDS_KEPT = 63
_SERVING_GUESS = WorkerState.READY


class TelemetryRegistry:
    """Hives and workers of the colony.  Not thread-safe: it belongs to the queen's event loop.

    Args:
        clock: seconds that never go back.
        limits: ages that decide presence.
        on_change: told the model whose workers have changed, for those who wait for one.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        limits: Limits | None = None,
        on_change: Callable[[str], None] = lambda model_id: None,
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self.limits = limits or Limits()
        self._hives: HeartbeatRegistry[HiveRecord] = HeartbeatRegistry(clock, self.limits.hive_down_s)
        self._workers: dict[str, WorkerEntry] = {}
        self._by_model = Index()
        self._by_hive = Index()
        self._by_backend = Index()
        self._by_name = Index()

    # --- upserts -------------------------------------------------------------------------------------------------

    def register_worker(self, registration: Registration) -> bool:
        """Fast path, ready callback or registry event; True when the worker was not known.

        A registration that repeats, or comes after the worker's own beats, changes no field that those own.
        """
        worker_id = registration.identity or ""
        known = self._workers.get(worker_id)
        if known is not None and registration.instance_id and registration.instance_id == known.superseded:
            return False
        entry = known or WorkerEntry(worker_id=worker_id)
        fresh = known is None or (
            registration.instance_id is not None and registration.instance_id != known.instance_id
        )
        if fresh and known is not None:
            entry = _successor(known)
        now = self._clock()
        entry.registered_at = now
        entry.url = registration.address or entry.url
        entry.spawned_by = registration.spawned_by or entry.spawned_by
        entry.hive_id = registration.hive_id or _spawning_hive(registration.spawned_by) or entry.hive_id
        entry.instance_id = registration.instance_id or entry.instance_id
        entry.pid = registration.pid or entry.pid
        if fresh or entry.beat_at is None:
            entry.model_id = registration.model or registration.model_ref or entry.model_id
            entry.state = _registered_state(registration, entry.state)
            entry.backend = registration.backend or entry.backend
            if registration.device is not None:
                entry.device = str(registration.device)
            entry.beat_at = now
        self._store(entry)
        return known is None

    def beat_worker(self, beat: WorkerBeat) -> bool:
        """The worker's own heartbeat; False when it is late or replayed and was ignored."""
        entry = self._workers.get(beat.id) or WorkerEntry(worker_id=beat.id)
        if beat.instance_id is not None and beat.instance_id == entry.superseded:
            return False
        same_instance = beat.instance_id == entry.instance_id
        if same_instance and beat.seq is not None and entry.seq is not None and beat.seq <= entry.seq:
            return False
        if not same_instance and entry.instance_id is not None:
            entry = _successor(entry)
        entry.instance_id, entry.seq = beat.instance_id or entry.instance_id, beat.seq
        entry.beat_at = self._clock()
        entry.failed_at = None
        entry.url = beat.url or entry.url or f"http://127.0.0.1:{beat.port}"
        entry.model_id, entry.model_name = beat.model_id, beat.model_name
        entry.device, entry.backend = beat.device, beat.backend
        entry.implementation, entry.version = beat.implementation, beat.version
        entry.hive_id = beat.hive_id or entry.hive_id
        entry.state = WorkerState.parse(beat.status)
        entry.slots_total, entry.slots_available = beat.slots_total, beat.slots_available
        entry.queue_depth, entry.tokens_per_second = beat.queue_depth, beat.tokens_per_second
        entry.context_length, entry.capabilities = beat.context_length, beat.capabilities
        entry.stage, entry.pid = beat.stage, beat.pid or entry.pid
        if beat.slots_total is not None and beat.slots_available is not None:
            # A request that ended while the beat was on its way still shows in it.
            ours = entry.reserved + sum(1 for ended in entry.ended_at if self._clock() - ended < _BEAT_DELAY_S)
            entry.external = max(0, beat.slots_total - beat.slots_available - ours)
        self._store(entry)
        return True

    def update_hive(self, hive_id: str, url: str | None, instance_id: str | None = None) -> HiveRecord:
        """A hive was registered or discovered; its figures come with its heartbeat."""
        record = self._hives.get(hive_id) or HiveRecord(hive_id=hive_id)
        if _is_current(record, instance_id):
            record.url = url or record.url
            self._hives.update(hive_id, record)
        return record

    def update_hive_state(self, beat: HiveHeartbeat) -> bool:
        """A hive's heartbeat with its workers' processes; False when it is late or replayed and was ignored."""
        hive: HiveInfo = beat.hive
        record = self._hives.get(hive.id) or HiveRecord(hive_id=hive.id)
        if not _is_current(record, hive.instance_id):
            return False
        if hive.seq is not None and record.seq is not None and hive.seq <= record.seq:
            return False
        record.info, record.seq = hive, hive.seq
        record.url = hive.url or record.url
        record.devices = beat.capabilities if beat.capabilities is not None else record.devices
        record.engines = beat.engines if beat.engines is not None else record.engines
        record.node = beat.node if beat.node is not None else record.node
        self._hives.update(hive.id, record)
        now = self._clock()
        seen = set()
        for sample in beat.workers:
            if sample.worker_id is None:
                continue
            seen.add(sample.worker_id)
            entry = self._workers.get(sample.worker_id) or WorkerEntry(worker_id=sample.worker_id)
            entry.sample, entry.sampled_at, entry.sampled_by, entry.pid = sample, now, hive.id, sample.pid
            entry.hive_id = hive.id
            entry.model_id = entry.model_id or sample.model
            self._store(entry)
        # A process that has ended is no longer measured: without this it would look observed for seconds.
        for worker_id in record.worker_ids - seen:
            gone = self._workers.get(worker_id)
            if gone is not None and gone.sampled_by == hive.id:
                gone.sampled_at = None
        record.worker_ids = frozenset(seen)
        return True

    def remove_worker(self, worker_id: str) -> bool:
        """Forget a worker; False when it was not known."""
        entry = self._workers.pop(worker_id, None)
        for index in (self._by_model, self._by_hive, self._by_backend, self._by_name):
            index.discard(worker_id)
        if entry is not None and entry.model_id is not None:
            self._on_change(entry.model_id)
        return entry is not None

    def remove_hive(self, hive_id: str) -> bool:
        """Forget a hive; its workers stay as long as they beat."""
        return self._hives.remove(hive_id) is not None

    def set_state(self, worker_id: str, state: WorkerState) -> bool:
        """A state told about a worker (``POST /v1/workers/update``); its next beat may tell another."""
        entry = self._workers.get(worker_id)
        if entry is None:
            return False
        entry.state = state
        self._store(entry)
        return True

    # --- the queen's own knowledge of a worker -------------------------------------------------------------------

    def reserve(self, worker_id: str) -> None:
        """A request is about to be sent there."""
        entry = self._workers.get(worker_id)
        if entry is not None:
            entry.reserved += 1
            entry.last_used_at = self._clock()

    def release(self, worker_id: str, first_byte_s: float | None = None) -> None:
        """A request sent there has ended."""
        entry = self._workers.get(worker_id)
        if entry is None:
            return
        entry.reserved = max(0, entry.reserved - 1)
        entry.last_used_at = self._clock()
        entry.ended_at = (*entry.ended_at[-_ENDS_KEPT:], entry.last_used_at)
        if first_byte_s is not None:
            before = entry.latency_s if entry.latency_s is not None else first_byte_s
            entry.latency_s = before + _LATENCY_WEIGHT * (first_byte_s - before)

    def mark_failed(self, worker_id: str) -> None:
        """A connection to the worker broke: nothing goes there until it has spoken again."""
        entry = self._workers.get(worker_id)
        if entry is not None:
            entry.failed_at = self._clock()

    # --- queries -------------------------------------------------------------------------------------------------

    def get_worker(self, worker_id: str) -> WorkerEntry | None:
        """The worker's record; None when not known."""
        return self._workers.get(worker_id)

    def get_worker_url(self, worker_id: str) -> str | None:
        """Address of a worker."""
        entry = self._workers.get(worker_id)
        return None if entry is None else entry.url

    def list_all_workers(self) -> list[WorkerEntry]:
        """Every worker known."""
        return list(self._workers.values())

    def find_workers_by_model(self, model_id: str) -> list[WorkerEntry]:
        """Workers that serve or load a model, in any state; costs what that model has workers."""
        return [self._workers[worker_id] for worker_id in self._by_model.get(model_id)]

    def get_workers_on_hive(self, hive_id: str) -> list[WorkerEntry]:
        """Workers on a hive's machine."""
        return [self._workers[worker_id] for worker_id in self._by_hive.get(hive_id)]

    def find_workers_by_backend(self, backend: str) -> list[WorkerEntry]:
        """Workers whose engine drives its device in that way."""
        return [self._workers[worker_id] for worker_id in self._by_backend.get(backend)]

    def model_called(self, name: str) -> str | None:
        """Canonical name of the model that workers serve under a name, short or canonical; None when none does."""
        if any(True for _ in self._by_model.get(name)):
            return name
        for worker_id in self._by_name.get(name):
            return self._workers[worker_id].model_id
        return None

    def models(self) -> list[str]:
        """Models that some worker serves or loads."""
        return sorted(self._by_model.keys())

    def get_hive_state(self, hive_id: str) -> HiveRecord | None:
        """The hive's record; None when not known."""
        return self._hives.get(hive_id)

    def list_all_hives(self) -> list[HiveRecord]:
        """Every hive known."""
        return self._hives.list_all()

    def list_active_hives(self) -> list[HiveRecord]:
        """Hives that are online."""
        return self._hives.list_online()

    def is_hive_online(self, hive_id: str) -> bool:
        """True while the hive beats."""
        return self._hives.is_online(hive_id)

    def hive_age(self, hive_id: str) -> float | None:
        """Seconds since the hive's last sign of life."""
        return self._hives.age(hive_id)

    def presence(self, entry: WorkerEntry) -> Presence:
        """What the worker's silence means now."""
        return worker_presence(self._age(entry.beat_at), self._age(entry.sampled_at), self.limits)

    def is_routable(self, entry: WorkerEntry) -> bool:
        """Whether requests may be sent to the worker now."""
        return entry.failed_at is None and entry.url is not None and routable(self.presence(entry), entry.state)

    def describe(self, entry: WorkerEntry) -> WorkerRecord:
        """The worker as the API lists it."""
        sample = entry.sample if entry.sampled_at is not None else None
        return WorkerRecord(
            worker_id=entry.worker_id,
            url=entry.url,
            model_id=entry.model_id,
            model_name=entry.model_name,
            implementation=entry.implementation,
            version=entry.version,
            hive_id=entry.hive_id,
            device=entry.device,
            backend=entry.backend,
            state=entry.state,
            presence=self.presence(entry),
            routable=self.is_routable(entry),
            slots_total=entry.slots_total,
            slots_available=entry.slots_free,
            queue_depth=entry.queue_depth,
            tokens_per_second=entry.tokens_per_second,
            context_length=entry.context_length,
            capabilities=entry.capabilities,
            spawned_by=entry.spawned_by,
            instance_id=entry.instance_id,
            pid=entry.pid,
            cpu_pct=sample.cpu_pct if sample else None,
            rss_mb=sample.rss_mb if sample else None,
            vram_mb=sample.vram_mb if sample else None,
            gpu_pct=sample.gpu_util_pct if sample else None,
            uptime_s=sample.uptime_s if sample else None,
            heartbeat_age_s=_rounded(self._age(entry.beat_at)),
            telemetry_age_s=_rounded(self._age(entry.sampled_at)),
            stage=entry.stage,
        )

    def cleanup(self) -> list[str]:
        """Forget workers that are gone and hives that have long been silent; returns the workers' ids."""
        self._hives.cleanup_stale(self.limits.cleanup_s)
        gone = [entry.worker_id for entry in self._workers.values() if self._is_gone(entry)]
        for worker_id in gone:
            self.remove_worker(worker_id)
        return gone

    def _is_gone(self, entry: WorkerEntry) -> bool:
        if self.presence(entry) is not Presence.OFFLINE:
            return False
        ages = [age for age in (self._age(entry.beat_at), self._age(entry.sampled_at)) if age is not None]
        limit = self.limits.worker_stale_s if entry.state is WorkerState.STOPPED else self.limits.worker_gone_s
        return not ages or min(ages) >= limit

    def _age(self, moment: float | None) -> float | None:
        return None if moment is None else self._clock() - moment

    def _store(self, entry: WorkerEntry) -> None:
        self._workers[entry.worker_id] = entry
        self._by_model.put(entry.worker_id, _keys(entry.model_id))
        self._by_hive.put(entry.worker_id, _keys(entry.hive_id))
        self._by_backend.put(entry.worker_id, _keys(entry.backend))
        self._by_name.put(entry.worker_id, _keys(entry.model_name))
        if entry.model_id is not None:
            self._on_change(entry.model_id)


def _is_current(record: HiveRecord, instance_id: str | None) -> bool:
    """Note the instance that speaks; False for a late word of the one before it."""
    if instance_id is None or instance_id == record.instance_id:
        return True
    if instance_id == record.superseded:
        return False
    record.superseded, record.instance_id, record.seq = record.instance_id, instance_id, None
    return True


def _successor(entry: WorkerEntry) -> WorkerEntry:
    """The record of a new process under the same id.

    Requests sent to the old one end one by one and are released one by one, so they still count; a late beat of the
    old one must not be taken for yet another.
    """
    return WorkerEntry(
        worker_id=entry.worker_id,
        spawned_by=entry.spawned_by,
        sample=entry.sample,
        sampled_at=entry.sampled_at,
        sampled_by=entry.sampled_by,
        reserved=entry.reserved,
        superseded=entry.instance_id,
    )


def _keys(*values: str | None) -> Iterable[str]:
    return tuple(value for value in values if value is not None)


def _spawning_hive(spawned_by: str | None) -> str | None:
    return spawned_by.removeprefix("hive-") if spawned_by and spawned_by.startswith("hive-") else None


def _registered_state(registration: Registration, before: WorkerState) -> WorkerState:
    if registration.state:
        with contextlib.suppress(ValueError):
            return WorkerState.parse(registration.state)
    # The documents' spawners notify once the worker is healthy, and say no state.
    return before if before is not WorkerState.STARTING else _SERVING_GUESS


def _rounded(age: float | None) -> float | None:
    return None if age is None else round(age, 3)
