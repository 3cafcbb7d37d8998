"""One record a worker, merged from three sources."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from rbee.contract import Backend, Device, DeviceType, WorkerState
from rbee.contract.wire import HiveHeartbeat, HiveInfo, ProcessStats, Registration, WorkerBeat, utc_now
from rbee.telemetry import Limits, TelemetryRegistry
from rbee.telemetry.judgement import worker_presence


def beat(worker_id: str = "w", *, seq: int | None = 1, instance: str | None = "i1", **more: Any) -> WorkerBeat:
    fields: dict[str, Any] = {
        "model_id": "m",
        "device": "CPU-0",
        "port": 8080,
        "status": "ready",
        "implementation": "engine",
        "version": "1",
        "slots_total": 4,
        "slots_available": 4,
    }
    return WorkerBeat(id=worker_id, seq=seq, instance_id=instance, **(fields | more))


def hive_beat(
    hive: str = "h", *workers: str, seq: int = 1, instance: str = "h1", url: str = "http://box:1", **more: Any
) -> HiveHeartbeat:
    return HiveHeartbeat(
        hive=HiveInfo(id=hive, hostname="box", port=1, instance_id=instance, seq=seq, url=url),
        timestamp=utc_now(),
        workers=tuple(ProcessStats(pid=1, worker_id=name, rss_mb=5, model="m") for name in workers),
        **more,
    )


@pytest.fixture
def colony(clock) -> TelemetryRegistry:
    return TelemetryRegistry(clock)


def picture(colony: TelemetryRegistry) -> list[Any]:
    return [msgspec.structs.asdict(colony.describe(entry)) for entry in colony.list_all_workers()]


def test_a_beat_makes_a_worker(colony) -> None:
    assert colony.beat_worker(beat(url="http://a:1", hive_id="h")) is True
    record = colony.describe(colony.get_worker("w"))
    assert (record.url, record.model_id, record.state, record.presence) == ("http://a:1", "m", "ready", "unobserved")
    assert record.routable is True
    assert (record.cpu_pct, record.rss_mb, record.telemetry_age_s) == (None, None, None)


@pytest.mark.parametrize("seq", [1, 2, 3])
def test_a_late_or_replayed_beat_changes_nothing(colony, seq: int) -> None:
    colony.beat_worker(beat(seq=3))
    before = picture(colony)
    assert colony.beat_worker(beat(seq=seq, status="failed", model_id="other")) is False
    assert picture(colony) == before


def test_a_beat_without_a_number_always_counts(colony) -> None:
    colony.beat_worker(beat(seq=None, instance=None))
    assert colony.beat_worker(beat(seq=None, instance=None, status="busy")) is True
    assert colony.get_worker("w").state is WorkerState.BUSY


def test_a_new_instance_replaces_the_old_one_whatever_its_number(colony) -> None:
    colony.beat_worker(beat(seq=90, url="http://old:1"))
    colony.reserve("w")
    assert colony.beat_worker(beat(seq=1, instance="i2", url="http://new:1", status="loading", model_id=None)) is True
    entry = colony.get_worker("w")
    assert (entry.url, entry.state, entry.seq, entry.reserved) == ("http://new:1", WorkerState.LOADING, 1, 1)
    colony.release("w")
    assert entry.reserved == 0
    assert colony.find_workers_by_model("m") == []


def test_a_late_word_of_a_replaced_instance_is_ignored(colony) -> None:
    colony.beat_worker(beat(seq=90, url="http://old:1"))
    colony.beat_worker(beat(seq=1, instance="i2", url="http://new:1"))
    assert colony.beat_worker(beat(seq=91, url="http://old:1")) is False
    assert colony.register_worker(Registration(worker_id="w", url="http://old:1", instance_id="i1")) is False
    assert colony.get_worker_url("w") == "http://new:1"


def test_a_restarted_hive_that_introduces_itself_first_is_heard(colony) -> None:
    assert colony.update_hive_state(hive_beat("h", seq=900, instance="i1")) is True
    colony.update_hive("h", "http://box:2", "i2")
    assert colony.update_hive_state(hive_beat("h", seq=1, instance="i2", url="http://box:2")) is True
    assert colony.update_hive_state(hive_beat("h", seq=901, instance="i1")) is False
    colony.update_hive("h", "http://box:1", "i1")
    assert colony.get_hive_state("h").url == "http://box:2"


def test_a_beat_without_an_address_is_on_this_machine(colony) -> None:
    colony.beat_worker(beat(port=9301))
    assert colony.get_worker_url("w") == "http://127.0.0.1:9301"


def test_a_registration_makes_a_worker_that_serves(colony) -> None:
    assert colony.register_worker(Registration(worker_id="w", url="http://a:1", model="m", spawned_by="hive-h")) is True
    entry = colony.get_worker("w")
    assert (entry.hive_id, entry.model_id, colony.is_routable(entry)) == ("h", "m", True)


def test_a_ready_callback_makes_one_too(colony) -> None:
    told = Registration(worker_id="w", url="http://a:1", model_ref="m", backend="cuda", device=1)
    colony.register_worker(told)
    assert [entry.worker_id for entry in colony.find_workers_by_backend("cuda")] == ["w"]
    assert colony.get_worker("w").device == "1"


def test_a_registration_that_says_its_state_is_believed(colony) -> None:
    colony.register_worker(Registration(worker_id="w", url="http://a:1", model="m", state="Loading"))
    assert colony.get_worker("w").state is WorkerState.LOADING


def test_odd_words_in_a_registration_do_no_harm(colony) -> None:
    colony.register_worker(Registration(worker_id="w", url="http://a:1", model="m", state="??", backend="abacus"))
    assert (colony.get_worker("w").state, colony.get_worker("w").backend) == (WorkerState.READY, "abacus")


def test_registering_twice_is_harmless(colony) -> None:
    told = Registration(worker_id="w", url="http://a:1", model="m", instance_id="i1", spawned_by="gui")
    assert colony.register_worker(told) is True
    before = picture(colony)
    assert colony.register_worker(told) is False
    assert picture(colony) == before


def test_a_registration_after_beats_leaves_what_those_own(colony) -> None:
    colony.beat_worker(beat(status="busy", model_id="m", backend=Backend.CPU, device="CPU-0"))
    told = Registration(
        worker_id="w", url="http://a:1", model="x", instance_id="i1", backend="cuda", device=3, state="ready"
    )
    colony.register_worker(told)
    entry = colony.get_worker("w")
    assert (entry.model_id, entry.state, entry.backend, entry.device) == ("m", WorkerState.BUSY, Backend.CPU, "CPU-0")
    assert entry.url == "http://a:1"


def test_a_registration_of_a_new_instance_forgets_the_old(colony) -> None:
    colony.beat_worker(beat(seq=9, status="failed"))
    colony.register_worker(Registration(worker_id="w", url="http://b:1", model="m2", instance_id="i2"))
    assert colony.beat_worker(beat(seq=1, instance="i2", model_id="m2")) is True
    assert [entry.worker_id for entry in colony.find_workers_by_model("m2")] == ["w"]


def test_an_observed_worker_that_beats_is_online(colony) -> None:
    colony.beat_worker(beat())
    colony.update_hive_state(hive_beat("h", "w"))
    record = colony.describe(colony.get_worker("w"))
    assert (record.presence, record.hive_id, record.rss_mb) == ("online", "h", 5)


def test_a_silent_process_is_hung_and_gets_nothing(colony, clock) -> None:
    colony.beat_worker(beat())
    for seq in range(20):
        clock.tick(1)
        colony.update_hive_state(hive_beat("h", "w", seq=seq))
    entry = colony.get_worker("w")
    assert (colony.presence(entry), colony.is_routable(entry)) == ("hung", False)
    assert colony.cleanup() == []


def test_workers_of_a_dead_hive_are_unobserved_as_long_as_they_beat(colony, clock) -> None:
    colony.update_hive_state(hive_beat("h", "w"))
    for seq in range(1, 20):
        colony.beat_worker(beat(seq=seq))
        clock.tick(5)
    entry = colony.get_worker("w")
    assert (colony.presence(entry), colony.is_routable(entry)) == ("unobserved", True)
    assert not colony.is_hive_online("h")


def test_a_machine_that_is_gone_takes_its_workers_with_it(colony, clock) -> None:
    colony.beat_worker(beat())
    colony.update_hive_state(hive_beat("h", "w"))
    clock.tick(29)
    assert colony.cleanup() == []
    assert colony.presence(colony.get_worker("w")) == "offline"
    clock.tick(1)
    assert colony.cleanup() == ["w"]
    assert (colony.list_all_workers(), colony.models(), colony.get_workers_on_hive("h")) == ([], [], [])
    clock.tick(30)
    colony.cleanup()
    assert colony.list_all_hives() == []


def test_a_process_that_ended_is_not_observed_any_more(colony, clock) -> None:
    colony.beat_worker(beat())
    colony.update_hive_state(hive_beat("h", "w", seq=1))
    clock.tick(1)
    colony.update_hive_state(hive_beat("h", seq=2))
    record = colony.describe(colony.get_worker("w"))
    assert (record.presence, record.rss_mb, record.telemetry_age_s) == ("unobserved", None, None)


def test_a_ghost_that_only_a_hive_saw_vanishes_with_its_process(colony) -> None:
    colony.update_hive_state(hive_beat("h", "ghost", seq=1))
    assert colony.presence(colony.get_worker("ghost")) == "hung"
    colony.update_hive_state(hive_beat("h", seq=2))
    assert colony.cleanup() == ["ghost"]


def test_a_stopped_worker_is_forgotten_sooner(colony, clock) -> None:
    colony.beat_worker(beat(status="stopped"))
    clock.tick(15)
    assert colony.cleanup() == ["w"]


def test_a_late_hive_beat_changes_nothing(colony) -> None:
    colony.update_hive_state(hive_beat("h", "w", seq=5))
    before = picture(colony)
    assert colony.update_hive_state(hive_beat("h", seq=4)) is False
    assert picture(colony) == before
    assert colony.update_hive_state(hive_beat("h", "w", seq=1, instance="h2")) is True


def test_what_a_hive_leaves_out_of_a_beat_stays(colony) -> None:
    device = Device(id="CPU-0", name="x", device_type=DeviceType.CPU)
    colony.update_hive_state(hive_beat("h", seq=1, capabilities=(device,), engines=()))
    colony.update_hive_state(hive_beat("h", seq=2))
    record = colony.get_hive_state("h")
    assert (record.devices, record.engines, record.url) == ((device,), (), "http://box:1")


def test_a_sample_without_a_worker_is_nobodys(colony) -> None:
    colony.update_hive_state(
        HiveHeartbeat(hive=HiveInfo(id="h", hostname="x", port=1), timestamp=utc_now(), workers=(ProcessStats(pid=3),))
    )
    assert colony.list_all_workers() == []


def test_a_reserved_slot_is_gone_until_it_is_given_back(colony) -> None:
    colony.beat_worker(beat())
    colony.reserve("w")
    assert colony.get_worker("w").slots_free == 3
    colony.beat_worker(beat(seq=2, slots_available=3))
    assert colony.get_worker("w").slots_free == 3
    colony.release("w")
    assert colony.get_worker("w").slots_free == 4
    colony.release("w")
    assert colony.get_worker("w").slots_free == 4


def test_slots_that_others_use_are_not_free(colony) -> None:
    colony.beat_worker(beat(slots_available=1))
    assert colony.get_worker("w").slots_free == 1
    colony.reserve("w")
    assert colony.get_worker("w").slots_free == 0


def test_unknown_slots_stay_unknown(colony) -> None:
    colony.beat_worker(beat(slots_total=None, slots_available=None))
    colony.reserve("w")
    assert colony.describe(colony.get_worker("w")).slots_available is None


def test_reserving_at_nobody_is_harmless(colony) -> None:
    colony.reserve("nobody")
    colony.release("nobody", 1.0)
    colony.mark_failed("nobody")
    assert colony.set_state("nobody", WorkerState.READY) is False
    assert colony.remove_worker("nobody") is False
    assert colony.list_all_workers() == []


def test_latency_is_a_moving_average(colony) -> None:
    colony.beat_worker(beat())
    colony.release("w", 1.0)
    assert colony.get_worker("w").latency_s == 1.0
    colony.release("w", 2.0)
    assert colony.get_worker("w").latency_s == pytest.approx(1.2)
    colony.release("w")
    assert colony.get_worker("w").latency_s == pytest.approx(1.2)


def test_a_broken_connection_keeps_requests_away_until_it_speaks(colony) -> None:
    colony.beat_worker(beat())
    colony.mark_failed("w")
    assert not colony.is_routable(colony.get_worker("w"))
    colony.beat_worker(beat(seq=2))
    assert colony.is_routable(colony.get_worker("w"))


def test_a_model_is_found_by_either_name(colony) -> None:
    colony.beat_worker(beat(model_id="shelf:org/m", model_name="m"))
    assert colony.model_called("shelf:org/m") == colony.model_called("m") == "shelf:org/m"
    assert colony.model_called("other") is None


def test_a_told_state_holds_until_the_next_beat(colony) -> None:
    colony.beat_worker(beat())
    assert colony.set_state("w", WorkerState.DRAINING) is True
    assert not colony.is_routable(colony.get_worker("w"))
    colony.beat_worker(beat(seq=2))
    assert colony.is_routable(colony.get_worker("w"))


def test_a_hive_that_was_only_introduced_has_an_address(colony) -> None:
    colony.update_hive("h", "http://box:1")
    assert (colony.get_hive_state("h").url, colony.is_hive_online("h")) == ("http://box:1", True)
    assert colony.get_hive_state("h").devices is None
    assert colony.remove_hive("h") is True
    assert colony.remove_hive("h") is False


WORKERS, HIVES, MODELS = st.sampled_from(["a", "b", "c"]), st.sampled_from(["h1", "h2"]), st.sampled_from(["m", "n"])
INSTANCES, SEQ = st.sampled_from(["i1", "i2"]), st.integers(1, 6)
STATES = st.sampled_from(["ready", "busy", "loading", "stopped"])


class _Known:
    """What the model remembers of a worker."""

    def __init__(self, sampled_at: float | None = None) -> None:
        self.instance: str | None = None
        self.seq: int | None = None
        self.beat_at: float | None = None
        self.sampled_at = sampled_at
        self.model: str | None = None
        self.hive: str | None = None
        self.state = "starting"
        self.superseded: str | None = None
        self.sampled_by: str | None = None

    def successor(self) -> _Known:
        new = _Known(self.sampled_at)
        new.sampled_by, new.superseded = self.sampled_by, self.instance
        return new


class Colony(RuleBasedStateMachine):
    """The registry beside a model that searches everything every time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.real = TelemetryRegistry(lambda: self.now)
        self.workers: dict[str, _Known] = {}
        self.hives: dict[str, tuple[int | None, float, frozenset[str]]] = {}

    @rule(seconds=st.sampled_from([1.0, 4.0, 10.0, 15.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(worker=WORKERS, instance=st.none() | INSTANCES, model=MODELS, hive=st.none() | HIVES)
    def register(self, worker: str, instance: str | None, model: str, hive: str | None) -> None:
        created = self.real.register_worker(
            Registration(worker_id=worker, url="http://x:1", instance_id=instance, model=model, hive_id=hive)
        )
        known = self.workers.get(worker)
        assert created is (known is None)
        if known is not None and instance is not None and instance == known.superseded:
            return
        fresh = known is None or (instance is not None and instance != known.instance)
        if fresh:
            known = self.workers[worker] = known.successor() if known else _Known()
        known.hive = hive or known.hive
        known.instance = instance or known.instance
        if known.beat_at is None:
            known.model, known.beat_at = model, self.now
            known.state = "ready" if known.state == "starting" else known.state

    @rule(worker=WORKERS, instance=INSTANCES, seq=SEQ, model=MODELS, hive=st.none() | HIVES, status=STATES)
    def beat(self, worker: str, instance: str, seq: int, model: str, hive: str | None, status: str) -> None:
        taken = self.real.beat_worker(
            beat(worker, seq=seq, instance=instance, model_id=model, hive_id=hive, status=status)
        )
        known = self.workers.get(worker) or _Known()
        late = known.instance == instance and known.seq is not None and seq <= known.seq
        late = late or instance == known.superseded
        assert taken is not late
        if late:
            return
        if known.instance not in {None, instance}:
            known = known.successor()
        known.instance, known.seq, known.beat_at = instance, seq, self.now
        known.model, known.hive, known.state = model, hive or known.hive, status
        self.workers[worker] = known

    @rule(hive=HIVES, seq=SEQ, seen=st.frozensets(WORKERS))
    def measure(self, hive: str, seq: int, seen: frozenset[str]) -> None:
        taken = self.real.update_hive_state(hive_beat(hive, *sorted(seen), seq=seq))
        before = self.hives.get(hive)
        late = before is not None and before[0] is not None and seq <= before[0]
        assert taken is not late
        if late:
            return
        for worker in seen:
            known = self.workers.setdefault(worker, _Known())
            known.sampled_at, known.sampled_by = self.now, hive
            known.hive, known.model = hive, known.model or "m"
        for worker in (before[2] if before else frozenset()) - seen:
            if worker in self.workers and self.workers[worker].sampled_by == hive:
                self.workers[worker].sampled_at = None
        self.hives[hive] = (seq, self.now, seen)

    @rule(worker=WORKERS)
    def remove(self, worker: str) -> None:
        assert self.real.remove_worker(worker) is (self.workers.pop(worker, None) is not None)

    @rule()
    def clean(self) -> None:
        limits = Limits()
        gone = set()
        for worker, known in self.workers.items():
            ages = [self.now - moment for moment in (known.beat_at, known.sampled_at) if moment is not None]
            most = limits.worker_stale_s if known.state == "stopped" else limits.worker_gone_s
            if self._presence(known) == "offline" and all(age >= most for age in ages):
                gone.add(worker)
        assert set(self.real.cleanup()) == gone
        for worker in gone:
            del self.workers[worker]
        self.hives = {hive: held for hive, held in self.hives.items() if self.now - held[1] < limits.cleanup_s}

    def _presence(self, known: _Known) -> str:
        ages = [None if moment is None else self.now - moment for moment in (known.beat_at, known.sampled_at)]
        return worker_presence(ages[0], ages[1], Limits())

    @invariant()
    def the_records_are_the_models(self) -> None:
        real = {entry.worker_id: entry for entry in self.real.list_all_workers()}
        assert set(real) == set(self.workers)
        for worker, known in self.workers.items():
            entry = real[worker]
            assert (entry.instance_id, entry.seq, entry.model_id, entry.hive_id, entry.state) == (
                known.instance,
                known.seq,
                known.model,
                known.hive,
                known.state,
            )
            presence = self._presence(known)
            assert self.real.presence(entry) == presence
            serving = known.state in {"ready", "busy"} and presence in {"online", "unobserved"}
            assert self.real.is_routable(entry) is serving

    @invariant()
    def the_indexes_equal_a_full_search(self) -> None:
        for model in ("m", "n"):
            found = {entry.worker_id for entry in self.real.find_workers_by_model(model)}
            assert found == {name for name, known in self.workers.items() if known.model == model}
        for hive in ("h1", "h2"):
            found = {entry.worker_id for entry in self.real.get_workers_on_hive(hive)}
            assert found == {name for name, known in self.workers.items() if known.hive == hive}
        assert self.real.models() == sorted({known.model for known in self.workers.values() if known.model})

    @invariant()
    def hives_are_online_for_ten_seconds(self) -> None:
        assert {record.hive_id for record in self.real.list_all_hives()} == set(self.hives)
        online = {record.hive_id for record in self.real.list_active_hives()}
        assert online == {hive for hive, held in self.hives.items() if self.now - held[1] < 10}


Colony.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestColony = Colony.TestCase
