"""The registry beside a model that keeps no index and searches everything for every question."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from rbee.contract import WorkerState
from rbee.contract.wire import (
    AggregateHeartbeat,
    AggregateWorker,
    HiveHeartbeat,
    HiveInfo,
    ProcessStats,
    Registration,
    WorkerBeat,
    utc_now,
)
from rbee.telemetry import Limits, TelemetryRegistry
from rbee.telemetry.judgement import worker_presence

WORKERS, HIVES, MODELS = st.sampled_from("abcd"), st.sampled_from(["h1", "h2"]), st.sampled_from(["m", "n"])
INSTANCES, SEQ = st.sampled_from(["i1", "i2", "i3"]), st.none() | st.integers(1, 6)
STATES = st.sampled_from(["ready", "busy", "loading", "stopped", "draining"])
GPU, VRAM = st.sampled_from([None, 0.0, 10.5, 11.0, 99.0]), st.sampled_from([None, 0, 100, 200])
SAMPLES = st.dictionaries(WORKERS, st.tuples(GPU, VRAM, st.none() | MODELS))
RELAYED = st.tuples(
    st.sampled_from(["Idle", "Busy", "Loading", "nonsense"]),
    MODELS,
    st.none() | st.sampled_from([0, 14, 15, 40]),
    st.sampled_from([None, "healthy", "Unhealthy"]),
    st.booleans(),
    GPU,
)
LIMITS = Limits()
BASE = datetime(2025, 11, 1, tzinfo=UTC)


class _Worker:
    """Bare facts about a worker."""

    def __init__(self, name: str, before: _Worker | None = None) -> None:
        self.name = name
        self.instance: str | None = None
        self.seq: int | None = None
        self.beat_at: float | None = None
        self.voice: str | None = None
        self.url: str | None = None
        self.model: str | None = None
        self.short: str | None = None
        self.backend: str | None = None
        self.hive: str | None = None
        self.state = "starting"
        self.slots: int | None = None
        self.external = 0
        self.failed = False
        self.heard: datetime | None = None
        self.health: str | None = None
        self.latency: float | None = None
        self.ended: list[float] = []
        self.superseded = before.instance if before else None
        self.reserved = before.reserved if before else 0
        self.sampled_at = before.sampled_at if before else None
        self.sampled_by = before.sampled_by if before else None
        self.pid = before.pid if before else None
        self.rival = before.rival if before else None
        self.rival_at = before.rival_at if before else None
        self.gpu = before.gpu if before else None
        self.vram_free = before.vram_free if before else None

    @property
    def free(self) -> int | None:
        return None if self.slots is None else max(0, self.slots - self.reserved - self.external)


class _Hive:
    """Bare facts about a hive."""

    def __init__(self) -> None:
        self.seen_at = 0.0
        self.instance: str | None = None
        self.superseded: str | None = None
        self.superseded_at = 0.0
        self.rival = False
        self.seq: int | None = None
        self.told = False
        self.stamp: datetime | None = None
        self.workers: set[str] | None = None

    def takes(self, instance: str, now: float) -> bool:
        """Note who speaks; False for the one before."""
        if instance == self.superseded:
            return False
        if instance != self.instance:
            self.superseded, self.instance, self.seq = self.instance, instance, None
            self.superseded_at, self.rival = now, False
        return True

    def hears(self, instance: str, now: float) -> bool:
        """The same for a beat: the one before is another hive when it beats long after."""
        if self.rival and instance == self.superseded and now - self.seen_at >= LIMITS.hive_down_s:
            self.superseded = None
        taken = self.takes(instance, now)
        if not taken and now - self.superseded_at >= LIMITS.hive_down_s:
            self.rival = True
        return taken


class Colony(RuleBasedStateMachine):
    """Random lives of a small colony."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.real = TelemetryRegistry(lambda: self.now)
        self.workers: dict[str, _Worker] = {}
        self.hives: dict[str, _Hive] = {}

    # --- time ---------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 5.0, 6.0, 9.9, 10.0, 15.0, 31.0, 3600.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # --- what is told -------------------------------------------------------------------------------------------

    @rule(name=WORKERS, instance=st.none() | INSTANCES, model=MODELS, hive=st.none() | HIVES, state=st.none() | STATES)
    def register(self, name: str, instance: str | None, model: str, hive: str | None, state: str | None) -> None:
        created = self.real.register_worker(
            Registration(worker_id=name, url="http://x:1", instance_id=instance, model=model, hive_id=hive, state=state)
        )
        known = self.workers.get(name)
        assert created is (known is None)
        if known and instance and instance == known.superseded:
            return
        fresh = known is None or (instance is not None and instance != known.instance)
        worker = _Worker(name, known) if fresh else known
        self.workers[name] = worker
        worker.url, worker.hive, worker.instance = "http://x:1", hive or worker.hive, instance or worker.instance
        if fresh or worker.beat_at is None:
            worker.model, worker.beat_at, worker.voice = model, self.now, "registration"
            worker.state = state or ("ready" if worker.state == "starting" else worker.state)

    @rule(
        name=WORKERS,
        instance=st.none() | INSTANCES,
        seq=SEQ,
        model=st.none() | MODELS,
        hive=st.none() | HIVES,
        status=STATES,
        slots=st.sampled_from([(None, None), (2, 2), (2, 1), (1, 0)]),
        backend=st.sampled_from([None, "cpu", "cuda"]),
    )
    def beat(
        self,
        name: str,
        instance: str | None,
        seq: int | None,
        model: str | None,
        hive: str | None,
        status: str,
        slots: tuple[int | None, int | None],
        backend: str | None,
    ) -> None:
        short = None if model is None else f"short-{model}"
        taken = self.real.beat_worker(
            WorkerBeat(
                id=name,
                seq=seq,
                instance_id=instance,
                model_id=model,
                model_name=short,
                hive_id=hive,
                status=status,
                backend=backend,
                slots_total=slots[0],
                slots_available=slots[1],
                device=None,
                port=1,
                implementation="e",
                version=None,
            )
        )
        worker = self.workers.get(name) or _Worker(name)
        late = instance == worker.instance and seq is not None and worker.seq is not None and seq <= worker.seq
        late = late and (instance is not None or self._fresh(worker.beat_at, LIMITS.worker_stale_s))
        late = late or (instance is not None and instance == worker.superseded)
        assert taken is not late
        if late:
            return
        if worker.instance not in {None, instance}:
            worker = _Worker(name, worker)
        self.workers[name] = worker
        worker.instance, worker.seq, worker.beat_at = instance or worker.instance, seq, self.now
        worker.voice, worker.failed, worker.url = "worker", False, worker.url or "http://127.0.0.1:1"
        worker.model, worker.short, worker.backend = model, short, backend
        worker.hive, worker.state, worker.slots = hive or worker.hive, status, slots[0]
        if slots[0] is not None and slots[1] is not None:
            recent = sum(1 for moment in worker.ended[-64:] if self.now - moment < 2)
            worker.external = max(0, slots[0] - slots[1] - worker.reserved - recent)

    @rule(steps=st.lists(st.tuples(WORKERS, st.sampled_from([0.0, 5.0, 6.0])), min_size=2, max_size=6), hive=HIVES)
    def several_speak_in_turn(self, steps: list[tuple[str, float]], hive: str) -> None:
        for name, seconds in steps:
            self.beat(name, None, None, "m", None, "ready", (2, 2), "cpu")
            self.stream(hive, {name: (10.5, 100, "m")})
            self.now += seconds

    @rule(name=WORKERS, status=STATES)
    def tell_a_state(self, name: str, status: str) -> None:
        assert self.real.set_state(name, WorkerState(status)) is (name in self.workers)
        if name in self.workers:
            self.workers[name].state = status

    @rule(hive=HIVES, instance=INSTANCES)
    def introduce(self, hive: str, instance: str) -> None:
        self.real.update_hive(hive, "http://box:1", instance)
        known = self.hives.get(hive) or _Hive()
        if known.takes(instance, self.now):
            known.seen_at = self.now
            self.hives[hive] = known

    @rule(hive=HIVES, instance=INSTANCES, seq=SEQ, seen=SAMPLES)
    def measure(self, hive: str, instance: str, seq: int | None, seen: dict[str, Any]) -> None:
        taken = self.real.update_hive_state(
            HiveHeartbeat(
                hive=HiveInfo(id=hive, hostname="box", port=1, instance_id=instance, seq=seq),
                timestamp=utc_now(),
                workers=_samples(hive, seen),
            )
        )
        known = self.hives.get(hive) or _Hive()
        late = not known.hears(instance, self.now) or (seq is not None and known.seq is not None and seq <= known.seq)
        assert taken is not late
        if late:
            return
        known.seq, known.told, known.seen_at = seq, True, self.now
        self.hives[hive] = known
        self._measured(hive, seen)

    @rule(hive=HIVES, seen=SAMPLES)
    def stream(self, hive: str, seen: dict[str, Any]) -> None:
        self.real.update_workers(hive, _samples(hive, seen))
        known = self.hives.setdefault(hive, _Hive())
        known.seen_at = self.now
        self._measured(hive, seen)

    @rule(hive=HIVES, late_s=st.sampled_from([0, 0, 0, 20, 4000]), told=st.dictionaries(WORKERS, RELAYED))
    def aggregate(self, hive: str, late_s: int, told: dict[str, Any]) -> None:
        stamp = BASE + timedelta(seconds=self.now - late_s)
        heard = {name: None if told[name][2] is None else stamp - timedelta(seconds=told[name][2]) for name in told}
        taken = self.real.update_aggregate(
            AggregateHeartbeat(
                hive_id=hive,
                timestamp=stamp,
                workers=tuple(
                    AggregateWorker(
                        worker_id=name,
                        state=state,
                        model_id=model,
                        last_heartbeat=heard[name],
                        health_status=health,
                        url="http://agg:1" if has_url else None,
                        gpu_percent=gpu,
                        backend="metal",
                    )
                    for name, (state, model, _, health, has_url, gpu) in told.items()
                ),
            )
        )
        known = self.hives.get(hive) or _Hive()
        late = known.stamp is not None and stamp <= known.stamp and self.now - known.seen_at < LIMITS.hive_down_s
        assert taken is not late
        if late:
            return
        known.stamp, known.seen_at = stamp, self.now
        self.hives[hive] = known
        self._measured(hive, {name: (told[name][5], None, told[name][1]) for name in told}, pids=False)
        for name, (state, model, age, health, has_url, _) in told.items():
            worker = self.workers[name]
            worker.health = health
            if worker.voice == "worker" and self._fresh(worker.beat_at, LIMITS.worker_stale_s):
                continue
            alive = worker.voice != "worker" if age is None else age < 15 and heard[name] != worker.heard
            worker.heard, worker.voice = heard[name], "hive"
            worker.state = {"Idle": "ready", "Busy": "busy", "Loading": "loading"}.get(state, worker.state)
            worker.model, worker.backend = model, "metal"
            worker.url = "http://agg:1" if has_url else worker.url
            if alive:
                worker.beat_at, worker.failed = self.now, False

    def _measured(self, hive: str, seen: dict[str, Any], *, pids: bool = True) -> None:
        for name, (gpu, vram, model) in seen.items():
            worker = self.workers.setdefault(name, _Worker(name))
            pid = _pid(hive, name) if pids else None
            other = worker.sampled_by not in {None, hive} and self._observed(worker)
            if other and None not in {pid, worker.pid} and pid != worker.pid:
                worker.rival, worker.rival_at = hive, self.now
                continue
            worker.pid = pid
            worker.sampled_at, worker.sampled_by, worker.hive = self.now, hive, hive
            worker.gpu, worker.vram_free, worker.health = gpu, vram, None
            worker.model = worker.model or model
        for name in (self.hives[hive].workers or set()) - set(seen):
            worker = self.workers.get(name)
            if worker is not None and worker.rival == hive:
                worker.rival = worker.rival_at = None
            if worker is not None and worker.sampled_by == hive:
                worker.pid = None
                worker.sampled_at = worker.gpu = worker.vram_free = worker.health = None
                if worker.voice == "hive":
                    worker.voice = worker.beat_at = None
        self.hives[hive].workers = set(seen)

    # --- what the queen does ------------------------------------------------------------------------------------

    @rule(name=WORKERS)
    def reserve(self, name: str) -> None:
        self.real.reserve(name)
        if name in self.workers:
            self.workers[name].reserved += 1

    @rule(name=WORKERS, latency=st.sampled_from([None, 1.0, 2.0]))
    def release(self, name: str, latency: float | None) -> None:
        self.real.release(name, latency)
        worker = self.workers.get(name)
        if worker is not None:
            worker.reserved = max(0, worker.reserved - 1)
            worker.ended.append(self.now)
            if latency is not None:
                before = latency if worker.latency is None else worker.latency
                worker.latency = before + 0.2 * (latency - before)

    @rule(name=WORKERS)
    def a_connection_breaks(self, name: str) -> None:
        self.real.mark_failed(name)
        if name in self.workers:
            self.workers[name].failed = True

    @rule(name=WORKERS)
    def remove(self, name: str) -> None:
        assert self.real.remove_worker(name) is (self.workers.pop(name, None) is not None)

    @rule(hive=HIVES)
    def remove_hive(self, hive: str) -> None:
        assert self.real.remove_hive(hive) is (self.hives.pop(hive, None) is not None)

    @rule()
    def clean(self) -> None:
        gone = set()
        for name, worker in self.workers.items():
            ages = [self.now - moment for moment in (worker.beat_at, worker.sampled_at) if moment is not None]
            most = LIMITS.worker_stale_s if worker.state == "stopped" else LIMITS.worker_gone_s
            if self._presence(worker) == "offline" and all(age >= most for age in ages):
                gone.add(name)
        assert set(self.real.cleanup()) == gone
        for name in gone:
            del self.workers[name]
        self.hives = {name: hive for name, hive in self.hives.items() if self.now - hive.seen_at < LIMITS.cleanup_s}

    # --- the model's answers ------------------------------------------------------------------------------------

    def _fresh(self, moment: float | None, limit: float) -> bool:
        return moment is not None and self.now - moment < limit

    def _presence(self, worker: _Worker) -> str:
        ages = [None if moment is None else self.now - moment for moment in (worker.beat_at, worker.sampled_at)]
        return worker_presence(ages[0], ages[1], LIMITS)

    def _observed(self, worker: _Worker) -> bool:
        return self._fresh(worker.sampled_at, LIMITS.hive_down_s)

    def _routable(self, worker: _Worker) -> bool:
        unwell = self._observed(worker) and worker.health == "Unhealthy"
        beating = self._fresh(worker.beat_at, LIMITS.worker_stale_s)
        serving = worker.state in {"ready", "busy"}
        return beating and serving and not unwell and not worker.failed and worker.url is not None

    def _idle(self, worker: _Worker) -> bool:
        return self._routable(worker) and (worker.state, worker.reserved, worker.external) == ("ready", 0, 0)

    def _rank(self, worker: _Worker) -> tuple[Any, ...]:
        far = float("inf")
        gpu = worker.gpu if self._observed(worker) else None
        return (
            worker.free == 0,
            far if gpu is None else gpu,
            far if worker.free is None else -worker.free,
            far if worker.latency is None else worker.latency,
            worker.name,
        )

    def _best(self, model: str) -> str | None:
        able = [one for one in self.workers.values() if one.model == model and self._routable(one)]
        able = able or [one for one in self.workers.values() if self._idle(one)]
        return min(able, key=self._rank).name if able else None

    def _online(self, hive: str) -> bool:
        return hive in self.hives and self._fresh(self.hives[hive].seen_at, LIMITS.hive_down_s)

    def _names(self, wanted: Any) -> set[str]:
        return {name for name, worker in self.workers.items() if wanted(worker)}

    # --- every question after every step ------------------------------------------------------------------------

    @invariant()
    def the_records_are_the_models(self) -> None:
        real = {entry.worker_id: entry for entry in self.real.list_all_workers()}
        assert set(real) == set(self.workers)
        assert self.real.total_worker_count() == len(self.workers)
        for name, worker in self.workers.items():
            entry = real[name]
            assert self.real.get_worker(name) is entry
            assert self.real.get_worker_url(name) == worker.url
            assert (
                entry.instance_id,
                entry.seq,
                entry.model_id,
                entry.hive_id,
                entry.state,
                entry.backend,
                entry.slots_free,
                entry.latency_s,
            ) == (
                worker.instance,
                worker.seq,
                worker.model,
                worker.hive,
                worker.state,
                worker.backend,
                worker.free,
                worker.latency,
            )
            assert self.real.presence(entry) == self._presence(worker)
            assert self.real.is_routable(entry) is self._routable(worker)
            rival = worker.rival if self._fresh(worker.rival_at, LIMITS.hive_down_s) else None
            assert self.real.rival_hive(entry) == rival
            record = self.real.describe(entry)
            ages = [None if at is None else round(self.now - at, 3) for at in (worker.beat_at, worker.sampled_at)]
            assert [record.heartbeat_age_s, record.telemetry_age_s, record.gpu_pct] == [*ages, worker.gpu]

    @invariant()
    def every_list_equals_a_full_search(self) -> None:
        assert _ids(self.real.list_routable_workers()) == self._names(self._routable)
        assert _ids(self.real.find_idle_workers()) == self._names(self._idle)
        for model in ("m", "n"):
            serving = self._names(lambda one, model=model: one.model == model)
            assert _ids(self.real.find_workers_by_model(model)) == serving
            measured = {name for name in serving if self._observed(self.workers[name])}
            assert _sampled(self.real.find_workers_with_model(model)) == measured
            best = self.real.find_best_worker_for_model(model)
            assert (best.worker_id if best else None) == self._best(model)
            assert self.real.model_called(model) == (model if serving else None)
            called = self._names(lambda one, model=model: one.short == f"short-{model}")
            assert (self.real.model_called(f"short-{model}") is not None) is bool(called)
        for backend in ("cpu", "cuda", "metal"):
            found = _ids(self.real.find_workers_by_backend(backend))
            assert found == self._names(lambda one, backend=backend: one.backend == backend)
        assert self.real.models() == sorted({one.model for one in self.workers.values() if one.model})

    @invariant()
    def every_measurement_equals_a_full_search(self) -> None:
        assert _sampled(self.real.get_all_workers()) == self._names(self._observed)
        for vram in (0, 1, 100, 200, 201):
            found = _sampled(self.real.find_workers_with_capacity(vram))
            assert found == self._names(
                lambda one, vram=vram: self._observed(one) and one.vram_free is not None and one.vram_free >= vram
            )
        for hive in ("h1", "h2"):
            listed = self.real.get_workers(hive)
            known = self.hives.get(hive)
            if not self._online(hive) or known is None or known.workers is None:
                assert listed is None
                continue
            assert _sampled(listed) == {
                name
                for name in known.workers & set(self.workers)
                if self._observed(self.workers[name]) and self.workers[name].sampled_by == hive
            }

    @invariant()
    def every_hive_is_as_it_was_last_heard(self) -> None:
        assert {record.hive_id for record in self.real.list_all_hives()} == set(self.hives)
        assert self.real.hive_count() == len(self.hives)
        online = {hive for hive in self.hives if self._online(hive)}
        assert {record.hive_id for record in self.real.list_active_hives()} == online
        assert {info.id for info in self.real.list_online_hives()} == {one for one in online if self.hives[one].told}
        for hive in ("h1", "h2"):
            assert self.real.is_hive_online(hive) is (hive in online)
            there = self._names(lambda one, hive=hive: one.hive == hive)
            assert _ids(self.real.get_workers_on_hive(hive)) == there
            assert self.real.get_worker_count(hive) == (len(there) if there or hive in self.hives else None)
            record, resources = self.real.get_hive_state(hive), self.real.get_available_resources(hive)
            assert (record is None) is (resources is None) is (hive not in self.hives)
            assert (self.real.get_hive(hive) is not None) is (hive in self.hives and self.hives[hive].told)
            if resources is not None:
                assert resources.online is (hive in online)


def _pid(hive: str, worker: str) -> int:
    """Some are one process that both hives see, others two processes under one id."""
    return int(hive[1:]) if worker in "ab" else 9


def _samples(hive: str, seen: dict[str, Any]) -> tuple[ProcessStats, ...]:
    return tuple(
        ProcessStats(
            pid=_pid(hive, name),
            worker_id=name,
            gpu_util_pct=gpu,
            total_vram_mb=None if free is None else 300,
            vram_mb=None if free is None else 300 - free,
            model=model,
        )
        for name, (gpu, free, model) in seen.items()
    )


def _ids(entries: Any) -> set[str]:
    found = [entry.worker_id for entry in entries]
    assert len(found) == len(set(found))
    return set(found)


def _sampled(samples: Any) -> set[str]:
    return _ids(samples)


Colony.TestCase.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
TestColony = Colony.TestCase
