"""The decision, branch by branch, and what holds of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.builtin.policies import SeedPolicy
from rbee.contract import (
    Backend,
    Capability,
    Device,
    DeviceType,
    EngineInfo,
    ModelFile,
    ModelVariant,
    WorkerState,
    WorkerView,
)
from rbee.scheduler import (
    Candidate,
    Failure,
    HiveView,
    IdleWorker,
    PlaceRequest,
    Refusal,
    Start,
    Use,
    Wait,
    Wish,
    dispensable,
    place,
    suits,
)

GIB = 2**30


def variant(name: str = "m", size_bytes: int | None = GIB, model_format: str = "blob", **more: Any) -> ModelVariant:
    files = (ModelFile(name="f", size_bytes=size_bytes),)
    return ModelVariant(model_id=name, name=name, vendor="v", format=model_format, files=files, **more)


WANTED = PlaceRequest(variants=(variant(),))
CPU = Device(id="CPU-0", name="p", device_type=DeviceType.CPU, backend=Backend.CPU)
GPU = Device(id="GPU-0", name="g", device_type=DeviceType.GPU, backend=Backend.CUDA)
POLICY = SeedPolicy()


def engine(name: str = "e", **more: Any) -> EngineInfo:
    fields = {"formats": ("blob",), "backends": (Backend.CPU,), "capabilities": (), "available": True, "version": "1"}
    return EngineInfo(name=name, **(fields | more))


def worker(name: str = "w", **more: Any) -> Candidate:
    view = WorkerView(worker_id=name, hive_id=more.pop("hive_id", "h"), slots_free=more.pop("free", 1))
    fields = {"state": WorkerState.READY, "presence": "online", "routable": True}
    return Candidate(view=view, **(fields | more))


def hive(name: str = "h", **more: Any) -> HiveView:
    fields = {"online": True, "devices": (CPU,), "engines": (engine(),), "threads_free": 4, "ram_free_bytes": 8 * GIB}
    return HiveView(hive_id=name, **(fields | more))


def nobody_asks() -> Sequence[HiveView]:
    raise AssertionError("the hives were looked at")


def decide(request: PlaceRequest = WANTED, workers: Sequence[Candidate] = (), *hives: HiveView) -> Any:
    return place(request, workers, (lambda: hives) if hives else nobody_asks, POLICY)


def why(decision: Any) -> dict[str, str]:
    return {reason.subject: reason.text for reason in decision.reasons}


def test_a_free_worker_is_used_and_no_hive_looked_at() -> None:
    assert decide(WANTED, [worker()]) == Use(worker_id="w")


def test_a_worker_with_unknown_slots_counts_as_free() -> None:
    assert decide(WANTED, [worker(free=None)]).worker_id == "w"


def test_the_policy_chooses_among_free_workers_alone() -> None:
    assert decide(WANTED, [worker("a", free=0), worker("b", free=1), worker("c", free=3)]).worker_id == "c"


@pytest.mark.parametrize(
    ("wanted", "candidate", "told"),
    [
        ({"worker_id": "other"}, {}, "names worker other"),
        ({"hive_id": "far"}, {}, "names hive far"),
        ({"device": "GPU-0"}, {"device": "CPU-0"}, "runs on CPU-0"),
        ({}, {"routable": False, "presence": "hung"}, "hung, state ready"),
        ({"capability": Capability.EMBEDDINGS}, {"capabilities": (Capability.CHAT,)}, "no embeddings"),
    ],
)
def test_a_worker_that_falls_out_has_a_reason(wanted: dict, candidate: dict, told: str) -> None:
    request = msgspec.structs.replace(WANTED, **wanted)
    decision = decide(request, [worker(**candidate)], hive(online=False))
    assert isinstance(decision, Refusal)
    assert told in why(decision)["worker w"]


def test_reasons_come_with_a_use_as_well() -> None:
    decision = decide(WANTED, [worker("a"), worker("b", routable=False, presence="offline")])
    assert decision.worker_id == "a"
    assert list(why(decision)) == ["worker b"]


def test_unknown_capabilities_are_no_obstacle() -> None:
    assert isinstance(decide(msgspec.structs.replace(WANTED, capability=Capability.CHAT), [worker()]), Use)


def test_when_all_slots_are_busy_it_waits_and_no_hive_is_looked_at() -> None:
    decision = decide(WANTED, [worker("a", free=0), worker("b", free=0)])
    assert isinstance(decision, Wait)
    assert decision.loading is False
    assert why(decision) == {"worker a": "all slots are busy", "worker b": "all slots are busy"}


@pytest.mark.parametrize("state", [WorkerState.STARTING, WorkerState.LOADING])
def test_a_loading_worker_is_waited_for(state: WorkerState) -> None:
    decision = decide(WANTED, [worker(state=state, routable=False)])
    assert isinstance(decision, Wait)
    assert decision.loading is True


def test_a_loading_worker_that_is_gone_is_not_waited_for() -> None:
    gone = worker(state=WorkerState.LOADING, routable=False, presence="offline")
    assert isinstance(decide(WANTED, [gone], hive()), Start)


def test_a_named_worker_that_nobody_knows_is_refused_without_a_start() -> None:
    decision = decide(msgspec.structs.replace(WANTED, worker_id="ghost"))
    assert isinstance(decision, Refusal)
    assert "not known" in why(decision)["worker ghost"]


def test_without_a_hive_the_refusal_says_how_to_get_one() -> None:
    decision = place(WANTED, (), lambda: (), POLICY)
    assert isinstance(decision, Refusal)
    assert "rbee up" in why(decision)["colony"]
    assert decision.code == "NO_PLACEMENT"


def test_a_start_names_everything_that_is_needed() -> None:
    because = ("m is what there is for CPU-0; it needs about 1228 MiB and 8192 MiB are free",)
    assert decide(WANTED, (), hive()) == Start(
        hive_id="h", engine="e", device="CPU-0", model_id="m", memory_bytes=1_288_490_188, threads=1, because=because
    )


HINDRANCES = [
    ({"online": False}, "down"),
    ({"accepting": False}, "accepts no new workers"),
    ({"devices": None}, "not told"),
    ({"engines": None}, "not told"),
    ({"failed": {"m": Failure(3.0, "it burst")}}, "3 s ago and is next tried in 7 s (it burst)"),
    (
        {"failed": {"m": Failure(15.0, "it burst", 4)}},
        "the model failed to load there 4 times in a row, the last time 15 s ago and is next tried in 25 s (it burst)",
    ),
    ({"devices": (GPU,)}, "suits the engines e"),
    ({"threads_free": 0}, "threads"),
    ({"ram_free_bytes": GIB}, "needs about 1228 MiB and 1024 MiB are free"),
]


@pytest.mark.parametrize(("more", "told"), HINDRANCES)
def test_a_hive_that_will_not_do_has_a_reason_and_another_is_taken(more: dict, told: str) -> None:
    refusal = decide(WANTED, (), hive("bad", **more))
    assert isinstance(refusal, Refusal)
    assert told in why(refusal)["hive bad"]
    assert refusal.code == "NO_PLACEMENT"
    start = decide(WANTED, (), hive("bad", **more), hive("good"))
    assert (start.hive_id, list(why(start))) == ("good", ["hive bad"])


def test_a_failure_of_long_ago_is_forgiven() -> None:
    assert isinstance(decide(WANTED, (), hive(failed={"m": Failure(10.0, "x")})), Start)
    for times, rest_s in ((3, 20), (4, 40), (8, 600), (10**6, 600)):
        failed = {"m": Failure(rest_s - 0.1, "x", times)}
        assert isinstance(decide(WANTED, (), hive(failed=failed)), Refusal)
        assert isinstance(decide(WANTED, (), hive(failed={"m": Failure(rest_s, "x", times)})), Start)


def test_a_named_hive_or_device_is_the_only_one_asked() -> None:
    both = hive("both", devices=(CPU, GPU), engines=(engine(backends=(Backend.CPU, Backend.CUDA)),))
    assert decide(msgspec.structs.replace(WANTED, hive_id="z"), (), both, hive("z")).hive_id == "z"
    assert decide(msgspec.structs.replace(WANTED, device="CPU-0"), (), both).device == "CPU-0"
    assert isinstance(decide(msgspec.structs.replace(WANTED, device="GPU-7"), (), both), Refusal)


@pytest.mark.parametrize(
    ("engines", "told"),
    [
        ((), "no engine there opens the format 'blob'"),
        ((engine(formats=("other",)),), "no engine there opens the format 'blob'"),
        ((engine(available=False, reason="pip install it"),), "pip install it"),
        ((engine(available=False),), "engine e is not available"),
    ],
)
def test_the_engine_is_blamed_only_when_engines_are_all_that_is_missing(engines: tuple, told: str) -> None:
    alone = decide(WANTED, (), hive("a", engines=engines), hive("b", engines=engines))
    assert alone.code == "ENGINE_UNAVAILABLE"
    assert told in why(alone)["hive a"]
    mixed = decide(WANTED, (), hive("a", engines=engines), hive("b", online=False))
    assert mixed.code == "NO_PLACEMENT"


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"devices": (GPU,), "threads_free": 1}, {"threads_free": 8}),
        ({}, {"threads_free": 0, "idle": (IdleWorker(worker_id="x", idle_s=1),)}),
        ({"threads_free": 8}, {"threads_free": 2}),
    ],
    ids=["GPU first", "then without stopping others", "then with more threads"],
)
def test_the_better_hive_is_taken_whatever_its_name(better: dict, worse: dict) -> None:
    engines = (engine(backends=(Backend.CPU, Backend.CUDA)),)
    for good, bad in (("a", "b"), ("b", "a")):
        assert (
            decide(WANTED, (), hive(bad, engines=engines, **worse), hive(good, engines=engines, **better)).hive_id
            == good
        )


def test_equal_hives_are_told_apart_by_name() -> None:
    assert decide(WANTED, (), hive("b"), hive("a")).hive_id == "a"


IDLE = (
    IdleWorker(worker_id="young", idle_s=1, memory_bytes=4 * GIB),
    IdleWorker(worker_id="oldest", idle_s=900, memory_bytes=GIB),
    IdleWorker(worker_id="old", idle_s=90, memory_bytes=GIB),
)


def test_the_longest_idle_makes_room_first_and_no_more_than_needed() -> None:
    assert decide(WANTED, (), hive(threads_free=0, idle=IDLE)).evict == ("oldest",)
    assert decide(WANTED, (), hive(ram_free_bytes=0, idle=IDLE)).evict == ("oldest", "old")
    assert decide(WANTED, (), hive(idle=IDLE)).evict == ()


def test_a_worker_that_has_no_thread_is_not_stopped_for_one() -> None:
    elsewhere = IdleWorker(worker_id="elsewhere", idle_s=9000, memory_bytes=GIB, threads=0)
    assert decide(WANTED, (), hive(threads_free=0, idle=(elsewhere, *IDLE))).evict == ("oldest",)
    assert not isinstance(decide(WANTED, (), hive(threads_free=0, idle=(elsewhere,))), Start)
    both = decide(WANTED, (), hive(threads_free=0, ram_free_bytes=0, idle=(elsewhere, *IDLE)))
    assert both.evict == ("oldest", "elsewhere")


@pytest.mark.parametrize(
    ("idle_s", "load_s", "score"),
    [(60.0, None, 60.0), (60.0, 0.2, 60.0), (60.0, 1.0, 60.0), (60.0, 30.0, 2.0), (0.0, 30.0, 0.0)],
)
def test_how_little_one_is_missed_falls_with_the_seconds_that_it_takes_to_come_back(
    idle_s: float, load_s: float | None, score: float
) -> None:
    assert dispensable(IdleWorker(worker_id="w", idle_s=idle_s, load_s=load_s)) == score


def test_a_model_that_is_slow_to_load_outstays_one_that_is_quick() -> None:
    slow = IdleWorker(worker_id="slow", idle_s=100, load_s=60)
    quick = IdleWorker(worker_id="quick", idle_s=10, load_s=2)
    unknown = IdleWorker(worker_id="unknown", idle_s=4)
    full = {"threads_free": 0, "idle": (slow, quick, unknown)}
    assert decide(WANTED, (), hive(**full)).evict == ("quick",)
    # But not for ever.
    longer = msgspec.structs.replace(slow, idle_s=1000)
    assert decide(WANTED, (), hive(**full | {"idle": (longer, quick, unknown)})).evict == ("slow",)


def test_a_smaller_variant_that_fits_now_goes_before_a_better_one_for_which_somebody_would_be_stopped() -> None:
    request = PlaceRequest(variants=(variant("best", 3 * GIB), variant("small", GIB)))
    machine = hive(ram_free_bytes=2 * GIB, idle=(IdleWorker(worker_id="i", idle_s=9, memory_bytes=4 * GIB),))
    start = decide(request, (), machine)
    assert (start.model_id, start.evict) == ("small", ())
    alone = decide(PlaceRequest(variants=request.variants[:1]), (), machine)
    assert (alone.model_id, alone.evict) == ("best", ("i",))


def test_a_pinned_worker_is_never_stopped_and_a_refusal_names_it() -> None:
    pinned = IdleWorker(worker_id="stays", idle_s=1000, pinned=True, memory_bytes=8 * GIB)
    other = IdleWorker(worker_id="goes", idle_s=1)
    assert decide(WANTED, (), hive(threads_free=0, idle=(pinned, other))).evict == ("goes",)
    refusal = decide(WANTED, (), hive(threads_free=0, idle=(pinned,)))
    busy = "all its processor threads are taken by workers that are busy or pinned; pinned: stays"
    assert why(refusal)["hive h"] == busy
    refusal = decide(WANTED, (), hive(ram_free_bytes=0, idle=(pinned,)))
    assert why(refusal)["hive h"].endswith("and 0.0 MiB are free; pinned: stays")


def test_an_engine_that_computes_elsewhere_needs_no_room_and_stops_nobody() -> None:
    full = {"threads_free": 0, "ram_free_bytes": 1, "idle": IDLE}
    remote = msgspec.structs.replace(WANTED, variants=(variant(size_bytes=None),))
    assert decide(remote, (), hive(engines=(engine(remote=True),), **full)).evict == ()
    assert decide(remote, (), hive(engines=(engine(),), **full)).evict


def test_when_even_all_idle_workers_are_not_enough_none_is_stopped() -> None:
    huge = PlaceRequest(variants=(variant(size_bytes=100 * GIB),))
    assert isinstance(decide(huge, (), hive(idle=IDLE)), Refusal)


def test_a_device_that_was_named_is_tried_although_the_estimate_does_not_fit() -> None:
    engines = (engine(backends=(Backend.CPU, Backend.CUDA)),)
    idle = (
        IdleWorker(worker_id="there", idle_s=1, device="GPU-0", vram_bytes=1),
        IdleWorker(worker_id="here", idle_s=2, device="CPU-0", vram_bytes=1),
    )
    small = {"devices": (CPU, GPU), "engines": engines, "gpu_free_bytes": {"GPU-0": GIB // 2}, "idle": idle}
    named = msgspec.structs.replace(WANTED, device="GPU-0")
    assert decide(WANTED, (), hive(**small)).device == "CPU-0"
    start = decide(named, (), hive(**small))
    assert (start.device, start.evict) == ("GPU-0", ("there",))
    assert start.because[-1] == "it is tried all the same, since the request names GPU-0"
    assert "needs about 1228 MiB and 512 MiB are free on GPU-0" in start.because[0]
    # Another machine's card of that name, on which it fits, comes before.
    large = small | {"gpu_free_bytes": {"GPU-0": GIB}, "idle": (msgspec.structs.replace(idle[0], vram_bytes=GIB),)}
    assert decide(named, (), hive("a", **small), hive("b", **large)).hive_id == "b"
    busy = decide(named, (), hive(**small | {"threads_free": 0, "idle": ()}))
    assert "all its processor threads are taken" in why(busy)["hive h"]


@pytest.mark.parametrize(
    ("more", "present"),
    [({}, False), ({"files": ()}, True), ({"in_place": "/m.gguf"}, True)],
    ids=["to be fetched", "without files", "in place"],
)
def test_a_start_says_whether_something_has_to_be_fetched_before(more: dict, present: bool) -> None:
    wanted = PlaceRequest(variants=(msgspec.structs.replace(variant(), **more),))
    assert decide(wanted, (), hive()).present is present
    assert decide(wanted, (), hive(held=frozenset({"m"}))).present is True


def test_a_worker_suits_a_wish_whether_or_not_it_has_a_free_slot() -> None:
    assert suits(Wish(), worker(free=0))
    assert not suits(Wish(worker_id="v"), worker())
    assert not suits(Wish(device="GPU-0"), worker(device="CPU-0"))
    assert not suits(Wish(), worker(routable=False))


def test_a_model_of_unknown_size_is_not_said_to_fit() -> None:
    elsewhere = PlaceRequest(variants=(msgspec.structs.replace(variant(), files=()),))
    start = decide(elsewhere, (), hive(ram_free_bytes=0))
    assert "what it needs is unknown" in start.because[-1]


def test_unknown_sizes_and_memory_are_no_obstacle() -> None:
    unknown = PlaceRequest(variants=(variant(size_bytes=None),))
    assert isinstance(decide(unknown, (), hive(ram_free_bytes=0)), Start)
    assert isinstance(decide(WANTED, (), hive(ram_free_bytes=None, threads_free=None)), Start)


NAMES = st.sampled_from("abcdef")
CANDIDATES = st.lists(
    st.builds(
        worker,
        NAMES,
        free=st.none() | st.integers(0, 2),
        hive_id=st.sampled_from(["h", "i"]),
        state=st.sampled_from(list(WorkerState)),
        presence=st.sampled_from(["online", "unobserved", "hung", "offline"]),
        routable=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda one: one.view.worker_id,
)
IDLES = st.lists(
    st.builds(
        IdleWorker,
        worker_id=NAMES,
        idle_s=st.integers(0, 9).map(float),
        load_s=st.sampled_from([None, 0.5, 2.0, 30.0]),
        pinned=st.booleans(),
        memory_bytes=st.none() | st.integers(0, 2 * GIB),
    ),
    max_size=4,
    unique_by=lambda one: one.worker_id,
).map(tuple)
HIVES = st.lists(
    st.builds(
        hive,
        NAMES,
        online=st.booleans(),
        devices=st.sampled_from([None, (), (CPU,), (GPU, CPU)]),
        engines=st.sampled_from([None, (), (engine(),), (engine(available=False),)]),
        threads_free=st.none() | st.integers(0, 3),
        ram_free_bytes=st.none() | st.integers(0, 3 * GIB),
        idle=IDLES,
        held=st.frozensets(st.sampled_from("mno")),
    ),
    max_size=4,
    unique_by=lambda one: one.hive_id,
)
VARIANTS = st.lists(
    st.builds(
        variant,
        st.sampled_from("mno"),
        st.none() | st.integers(0, 3 * GIB),
        st.sampled_from(["blob", "other"]),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda one: one.model_id,
).map(tuple)
REQUESTS = st.builds(
    PlaceRequest,
    variants=VARIANTS,
    hive_id=st.none() | st.sampled_from(["h", "a"]),
    worker_id=st.none() | NAMES,
)


@given(REQUESTS, CANDIDATES, HIVES, st.randoms(use_true_random=False))
def test_equal_inputs_give_equal_decisions_in_any_order(request: Any, workers: list, hives: list, random: Any) -> None:
    first = place(request, workers, lambda: hives, POLICY)
    shuffled, others = list(workers), list(hives)
    random.shuffle(shuffled)
    random.shuffle(others)
    second = place(request, shuffled, lambda: others, POLICY)
    assert place(request, workers, lambda: hives, POLICY) == first
    assert msgspec.structs.replace(first, reasons=()) == msgspec.structs.replace(second, reasons=())
    assert set(first.reasons) == set(second.reasons)


@given(REQUESTS, CANDIDATES, HIVES)
def test_what_is_decided_can_be_done(request: Any, workers: list, hives: list) -> None:
    decision = place(request, workers, lambda: hives, POLICY)
    if isinstance(decision, Use):
        (chosen,) = [one for one in workers if one.view.worker_id == decision.worker_id]
        assert chosen.routable
        assert chosen.view.slots_free != 0
        assert request.worker_id in {None, decision.worker_id}
        assert request.hive_id in {None, chosen.view.hive_id}
    elif isinstance(decision, Start):
        (place_there,) = [one for one in hives if one.hive_id == decision.hive_id]
        assert place_there.online
        assert decision.device in {device.id for device in place_there.devices}
        (chosen,) = [one for one in request.variants if one.model_id == decision.model_id]
        assert chosen.format == "blob"
        spare = [one for one in place_there.idle if not one.pinned]
        idle = sorted(spare, key=lambda one: (-dispensable(one), one.worker_id))
        assert list(decision.evict) == [one.worker_id for one in idle[: len(decision.evict)]]
    elif isinstance(decision, Refusal):
        assert decision.reasons


@given(REQUESTS, CANDIDATES, HIVES)
def test_hives_are_looked_at_at_most_once_and_only_for_a_start(request: Any, workers: list, hives: list) -> None:
    asked = []

    def ask() -> list[HiveView]:
        asked.append(1)
        return hives

    decision = place(request, workers, ask, POLICY)
    assert len(asked) <= 1
    if isinstance(decision, Use | Wait):
        assert asked == []
    if isinstance(decision, Start):
        assert asked == [1]


def test_among_machines_that_would_fetch_the_same_the_one_with_the_quicker_line_is_taken() -> None:
    slow, quick = hive("a", fetch_bytes_s=1e6), hive("b", fetch_bytes_s=100e6)
    assert decide(WANTED, (), slow, quick).hive_id == "b"
    # What lies on a disk already needs no line, and small differences are noise.
    assert decide(WANTED, (), msgspec.structs.replace(slow, held=frozenset({"m"})), quick).hive_id == "a"
    assert decide(WANTED, (), hive("a", fetch_bytes_s=95e6), quick).hive_id == "a"
