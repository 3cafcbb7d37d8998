"""One record a worker, merged from three sources."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from rbee.contract import Backend, Device, DeviceType, WorkerState
from rbee.contract.wire import HiveHeartbeat, HiveInfo, ProcessStats, Registration, WorkerBeat, utc_now
from rbee.telemetry import TelemetryRegistry


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


def test_slots_that_a_registration_tells_count_until_the_worker_speaks(colony) -> None:
    colony.register_worker(Registration(worker_id="w", url="http://h:1", model="m", slots_total=4))
    entry = colony.get_worker("w")
    assert (entry.slots_total, entry.slots_free) == (4, 4)
    colony.beat_worker(beat("w", slots_total=2, slots_available=2))
    assert entry.slots_total == 2
    # Said again by who has started it: the worker itself knows better.
    colony.register_worker(Registration(worker_id="w", url="http://h:1", model="m", slots_total=4))
    assert entry.slots_total == 2


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


def test_the_best_worker_has_the_model_and_the_lowest_load(colony) -> None:
    for name, model in (("a", "m"), ("b", "m"), ("c", "n")):
        colony.beat_worker(beat(name, model_id=model))
    colony.update_workers(
        "h",
        [ProcessStats(pid=1, worker_id=name, gpu_util_pct=gpu) for name, gpu in (("a", 60.0), ("b", 50.0), ("c", 0.0))],
    )
    assert colony.find_best_worker_for_model("m").worker_id == "b"
    for _ in range(4):
        colony.reserve("b")
    assert colony.find_best_worker_for_model("m").worker_id == "a"


def test_without_one_that_has_the_model_the_idlest_is_best(colony, clock) -> None:
    for name in ("a", "b", "c", "d"):
        colony.beat_worker(beat(name))
    colony.update_workers("h", [ProcessStats(pid=1, worker_id=name, gpu_util_pct=5.0) for name in ("b", "c")])
    assert colony.find_best_worker_for_model("other").worker_id == "b"
    colony.reserve("b")
    assert colony.find_best_worker_for_model("other").worker_id == "c"
    colony.mark_failed("c")
    assert colony.find_best_worker_for_model("other").worker_id == "a"
    clock.tick(15)
    assert colony.find_best_worker_for_model("other") is None
    assert colony.find_best_worker_for_model("m") is None


def test_an_unknown_load_never_counts_as_none(colony, clock) -> None:
    colony.beat_worker(beat("a"))
    colony.beat_worker(beat("b"))
    colony.update_workers("h", [ProcessStats(pid=1, worker_id="b", gpu_util_pct=100.0)])
    assert colony.find_best_worker_for_model("m").worker_id == "b"
    clock.tick(10)
    assert colony.find_best_worker_for_model("m").worker_id == "a"


def test_telemetry_without_a_heartbeat_is_a_sign_of_life(colony) -> None:
    colony.update_workers("h", [ProcessStats(pid=1, worker_id="w"), ProcessStats(pid=2)])
    assert colony.is_hive_online("h")
    assert [sample.worker_id for sample in colony.get_workers("h")] == ["w"]
    assert (colony.get_hive("h"), colony.list_online_hives()) == (None, [])
    colony.update_workers("h", [])
    assert (colony.get_workers("h"), colony.get_all_workers()) == ([], [])


def test_processes_of_a_hive_that_is_down_are_unknown(colony, clock) -> None:
    assert colony.get_workers("h") is None
    colony.update_hive("h", "http://box:1")
    assert colony.get_workers("h") is None
    colony.update_hive_state(hive_beat("h", "w"))
    assert len(colony.get_workers("h")) == len(colony.get_all_workers()) == 1
    clock.tick(10)
    assert (colony.get_workers("h"), colony.get_all_workers()) == (None, [])
    assert colony.get_hive("h").id == "h"


def test_workers_are_found_by_what_is_free_on_their_gpu(colony, clock) -> None:
    samples = [
        ProcessStats(pid=1, worker_id="small", total_vram_mb=100, vram_mb=90),
        ProcessStats(pid=2, worker_id="large", total_vram_mb=100, vram_mb=20),
        ProcessStats(pid=3, worker_id="unknown"),
    ]
    colony.update_workers("h", samples)
    assert [sample.worker_id for sample in colony.find_workers_with_capacity(0)] == ["small", "large"]
    assert [sample.worker_id for sample in colony.find_workers_with_capacity(11)] == ["large"]
    assert colony.find_workers_with_capacity(81) == []
    clock.tick(10)
    assert colony.find_workers_with_capacity(0) == []


def test_workers_of_an_unknown_hive_are_not_counted_as_none(colony) -> None:
    assert (colony.get_worker_count("h"), colony.get_available_resources("h")) == (None, None)
    colony.beat_worker(beat(hive_id="h"))
    assert colony.get_worker_count("h") == 1
    colony.update_hive("empty", None)
    assert colony.get_worker_count("empty") == 0
    assert colony.hive_count() == colony.total_worker_count() == 1


def test_a_stopping_hive_is_online_and_not_available(colony) -> None:
    told = HiveInfo(id="h", hostname="x", port=1, operational_status="stopping")
    colony.update_hive_state(HiveHeartbeat(hive=told, timestamp=utc_now()))
    assert (len(colony.list_active_hives()), colony.list_available_hives()) == (1, [])


def test_waiters_are_told_of_changes_and_not_of_every_measurement(clock) -> None:
    told: list[str] = []
    colony = TelemetryRegistry(clock, on_change=told.append)
    colony.beat_worker(beat())
    colony.update_hive_state(hive_beat("h", "w", seq=1))
    told.clear()
    colony.update_hive_state(hive_beat("h", "w", seq=2))
    assert told == []
    colony.beat_worker(beat(seq=2))
    colony.remove_worker("w")
    assert told == ["m", "m"]


def test_room_is_told_when_it_is_made_and_not_with_every_beat(clock) -> None:
    told: list[str] = []
    colony = TelemetryRegistry(clock, on_room=told.append)
    colony.beat_worker(beat(status="loading", slots_total=1, slots_available=1))
    assert told == []
    colony.beat_worker(beat(seq=2, slots_total=1, slots_available=1))
    assert told == ["m"]
    colony.beat_worker(beat(seq=3, slots_total=1, slots_available=1))
    colony.reserve("w")
    colony.beat_worker(beat(seq=4, slots_total=1, slots_available=0))
    assert told == ["m"]
    colony.release("w")
    assert told == ["m", "m"]
    colony.beat_worker(beat(seq=5, model_id="n", slots_total=1, slots_available=1))
    assert told == ["m", "m", "n"]


def test_two_hives_under_one_id_are_a_conflict_that_is_seen(colony, clock) -> None:
    colony.update_hive_state(hive_beat(instance="h1", seq=1, url="http://one:1"))
    colony.update_hive_state(hive_beat(instance="h2", seq=1, url="http://two:1"))
    clock.tick(1)
    assert colony.update_hive_state(hive_beat(instance="h1", seq=2)) is False
    assert colony.rival("h") is None, "a beat that was on its way"
    for _ in range(10):
        clock.tick(1)
        colony.update_hive_state(hive_beat(instance="h2", seq=int(clock.now), url="http://two:1"))
    assert colony.update_hive_state(hive_beat(instance="h1", seq=3, url="http://one:1")) is False
    assert colony.rival("h").url == "http://one:1"
    assert colony.get_hive_state("h").url == "http://two:1"
    clock.tick(9)
    assert colony.update_hive_state(hive_beat(instance="h1", seq=4)) is False
    clock.tick(1)
    assert colony.update_hive_state(hive_beat(instance="h1", seq=5, url="http://one:1")) is True, "the other is down"
    assert (colony.get_hive_state("h").url, colony.rival("h")) == ("http://one:1", None)


def test_a_rival_is_forgotten_when_it_is_silent(colony, clock) -> None:
    for seq, instance in enumerate(("h1", "h2"), 1):
        colony.update_hive_state(hive_beat(instance=instance, seq=seq))
    clock.tick(10)
    colony.update_hive_state(hive_beat(instance="h2", seq=3))
    colony.update_hive_state(hive_beat(instance="h1", seq=4))
    assert colony.rival("h") is not None
    for seq in range(5, 17):
        clock.tick(5)
        colony.update_hive_state(hive_beat(instance="h2", seq=seq))
    assert colony.rival("h") is None


def test_counts_agree_with_the_lists(colony, clock) -> None:
    colony.beat_worker(beat("a", url="http://a:1"))
    colony.beat_worker(beat("b", url="http://b:1", status="loading"))
    colony.update_hive_state(hive_beat("h", "ghost"))
    draining = HiveInfo(id="d", hostname="box", port=1, operational_status="draining")
    colony.update_hive_state(HiveHeartbeat(hive=draining, timestamp=utc_now()))
    assert [entry.worker_id for entry in colony.list_online_workers()] == ["a", "b"], "a measured one does not beat"
    assert colony.routable_worker_count() == len(colony.list_routable_workers()) == 1
    assert (colony.online_hive_count(), colony.available_hive_count()) == (2, 1)
    clock.tick(15)
    assert colony.list_online_workers() == []
    assert (colony.routable_worker_count(), colony.online_hive_count(), colony.available_hive_count()) == (0, 0, 0)


def sampled(colony: TelemetryRegistry, hive: str, pid: int | None, *, seq: int, worker: str | None = "w") -> bool:
    samples = () if worker is None else (ProcessStats(pid=pid, worker_id=worker, rss_mb=pid, model="m"),)
    info = HiveInfo(id=hive, hostname="box", port=1, instance_id=f"{hive}1", seq=seq)
    return colony.update_hive_state(HiveHeartbeat(hive=info, timestamp=utc_now(), workers=samples))


def test_of_two_workers_under_one_id_on_two_hives_the_first_is_kept_and_the_other_told_once(clock) -> None:
    told: list[tuple[str | None, str | None]] = []
    colony = TelemetryRegistry(clock, on_rival=lambda entry: told.append((entry.sampled_by, entry.rival_hive)))
    for seq in range(1, 4):
        for hive, pid in (("a", 10), ("b", 20)):
            sampled(colony, hive, pid, seq=seq)
            entry = colony.get_worker("w")
            assert (entry.sampled_by, entry.hive_id, entry.pid) == ("a", "a", 10)
        clock.tick(1)
    assert told == [("a", "b")]
    assert colony.rival_hive(entry) == "b"
    assert [len(colony.get_workers(hive)) for hive in "ab"] == [1, 0]
    sampled(colony, "a", None, seq=9, worker=None)
    assert sampled(colony, "b", 20, seq=9)
    assert (entry.sampled_by, entry.pid) == ("b", 20), "the first has ended"
    clock.tick(10)
    assert colony.rival_hive(entry) is None


def test_a_rival_that_ends_is_forgotten_at_once_and_one_whose_first_hive_is_down_is_heard(colony, clock) -> None:
    for hive, pid in (("a", 10), ("b", 20)):
        sampled(colony, hive, pid, seq=1)
    entry = colony.get_worker("w")
    sampled(colony, "b", None, seq=2, worker=None)
    assert colony.rival_hive(entry) is None
    sampled(colony, "b", 20, seq=3)
    assert colony.rival_hive(entry) == "b"
    clock.tick(10)
    sampled(colony, "b", 20, seq=4)
    assert (entry.sampled_by, entry.hive_id, entry.pid) == ("b", "b", 20)


def test_a_process_that_two_hives_of_one_machine_measure_is_no_conflict(colony) -> None:
    for hive in "ab":
        sampled(colony, hive, 10, seq=1)
    assert colony.rival_hive(colony.get_worker("w")) is None
    assert colony.get_worker("w").sampled_by == "b"


def test_who_names_no_instance_and_has_been_silent_counts_from_the_beginning_again(colony, clock) -> None:
    def told(seq: int) -> tuple[bool, bool]:
        info = HiveInfo(id="h", hostname="box", port=1, seq=seq)
        hive = colony.update_hive_state(HiveHeartbeat(hive=info, timestamp=utc_now()))
        return colony.beat_worker(beat(seq=seq, instance=None)), hive

    assert told(50) == (True, True)
    clock.tick(9)
    assert told(1) == (False, False)
    clock.tick(6)
    assert told(1) == (True, True), "both are silent: they were started anew"
    assert told(2) == (True, True)
