"""A model over several GPUs: when, on which, with how much of each, and what holds of all such decisions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.builtin.policies import SeedPolicy
from rbee.contract import (
    Backend,
    Device,
    DeviceShare,
    DeviceType,
    EngineInfo,
    ModelFigures,
    ModelFile,
    ModelVariant,
    WorkerState,
    WorkerView,
)
from rbee.contract.wire import ProcessStats
from rbee.scheduler import (
    Candidate,
    HiveView,
    IdleWorker,
    PlaceRequest,
    Refusal,
    Start,
    Use,
    estimate,
    holds,
    idle_worker,
    place,
    selector,
    shares_of,
)
from rbee.scheduler.spread import fits, sets_of

GIB = 2**30
CPU = Device(id="CPU-0", name="p", device_type=DeviceType.CPU, backend=Backend.CPU)
FIGURES = ModelFigures(layers=40, heads=32, kv_heads=8, embedding_length=4096, context_length=4096, vocabulary=32_000)


def gpu(number: int, backend: str = Backend.CUDA) -> Device:
    return Device(id=f"GPU-{number}", name=f"card {number}", device_type=DeviceType.GPU, backend=backend)


def engine(name: str = "e", **more: Any) -> EngineInfo:
    fields: dict[str, Any] = {
        "version": "1", "formats": ("blob",), "backends": (Backend.CUDA,), "capabilities": (), "available": True,
        "splits": (Backend.CUDA,),
    }  # fmt: skip
    return EngineInfo(name=name, **(fields | more))


def hive(free: dict[str, int], name: str = "h", **more: Any) -> HiveView:
    """A hive whose GPUs have so many GiB free."""
    fields: dict[str, Any] = {
        "online": True,
        "devices": (CPU, *(gpu(int(one.rpartition("-")[2])) for one in free)),
        "engines": (engine(),),
        "threads_free": 4,
        "ram_free_bytes": 64 * GIB,
        "gpu_free_bytes": {one: int(has * GIB) for one, has in free.items()},
    }
    return HiveView(hive_id=name, **(fields | more))


def model(gib: float, **more: Any) -> PlaceRequest:
    files = (ModelFile(name="f", size_bytes=int(gib * GIB)),)
    figures = more.pop("figures", FIGURES)
    variant = ModelVariant(model_id="m", name="m", vendor="v", format="blob", files=files, figures=figures)
    return PlaceRequest(variants=(variant,), **more)


def decide(request: PlaceRequest, *hives: HiveView) -> Any:
    return place(request, (), lambda: hives, SeedPolicy())


def shares(start: Start) -> dict[str, int]:
    return {one.device: one.memory_bytes or 0 for one in start.shares}


def reasons(decision: Any) -> str:
    return " | ".join(reason.text for reason in decision.reasons)


def test_a_model_that_fits_one_gpu_is_not_spread() -> None:
    start = decide(model(10), hive({"GPU-0": 24, "GPU-1": 40}))
    assert (start.device, start.shares) == ("GPU-1", ())


def test_a_model_that_fits_no_single_gpu_is_spread_over_the_emptiest_and_no_more_than_it_takes() -> None:
    start = decide(model(40), hive({"GPU-0": 24, "GPU-1": 8, "GPU-2": 23, "GPU-3": 20}))
    assert start.device == "GPU-0,GPU-2"
    assert sum(shares(start).values()) == start.memory_bytes
    assert "is spread over GPU-0 and GPU-2" in start.because[-1]
    assert decide(model(50), hive({"GPU-0": 24, "GPU-1": 8, "GPU-2": 23, "GPU-3": 20})).device == "GPU-0,GPU-2,GPU-3"


def test_each_gpu_gives_in_proportion_to_what_it_has_free() -> None:
    given = shares(decide(model(40), hive({"GPU-0": 32, "GPU-1": 16})))
    assert given["GPU-0"] / given["GPU-1"] == pytest.approx(2)


def test_an_engine_that_says_nothing_of_it_spreads_nothing() -> None:
    decision = decide(model(40), hive({"GPU-0": 24, "GPU-1": 24}, engines=(engine(splits=()),)))
    assert isinstance(decision, Refusal)


def test_gpus_that_are_driven_in_different_ways_are_no_set() -> None:
    mixed = hive({"GPU-0": 24, "GPU-1": 24}, devices=(gpu(0), gpu(1, Backend.ROCM)))
    both = engine(backends=(Backend.CUDA, Backend.ROCM), splits=(Backend.CUDA, Backend.ROCM))
    assert isinstance(decide(model(40), msgspec.structs.replace(mixed, engines=(both,))), Refusal)


def test_gpus_that_share_the_machines_memory_are_no_set() -> None:
    mac = hive({"GPU-0": 24, "GPU-1": 24}, devices=(gpu(0, Backend.METAL), gpu(1, Backend.METAL)))
    splitting = engine(backends=(Backend.METAL,), splits=(Backend.METAL,))
    assert isinstance(decide(model(40), msgspec.structs.replace(mac, engines=(splitting,))), Refusal)


def test_a_set_is_tried_before_a_processor() -> None:
    everywhere = engine(backends=(Backend.CUDA, Backend.CPU))
    assert decide(model(40), hive({"GPU-0": 24, "GPU-1": 24}, engines=(everywhere,))).device == "GPU-0,GPU-1"
    assert decide(model(50), hive({"GPU-0": 24, "GPU-1": 24}, engines=(everywhere,))).device == "CPU-0"


def test_a_machine_where_one_gpu_is_enough_goes_before_one_where_it_takes_two() -> None:
    two, one = hive({"GPU-0": 24, "GPU-1": 24}, "a"), hive({"GPU-0": 48}, "b")
    assert decide(model(40), two, one).hive_id == "b"


def test_a_refusal_names_what_every_gpu_has_free() -> None:
    decision = decide(model(60), hive({"GPU-0": 24, "GPU-1": 16}))
    assert isinstance(decision, Refusal)
    assert "24.0 GiB on GPU-0 and 16.0 GiB on GPU-1 are free" in reasons(decision)


def test_a_nearly_full_gpu_that_has_no_room_for_its_own_buffers_is_no_help() -> None:
    need = estimate(model(40).variants[0]).over(2)
    assert need.further_bytes > GIB
    assert fits(need, (50 * GIB, 2 * GIB * 2)) is True
    assert fits(need, (50 * GIB, GIB)) is False
    assert fits(need, (50 * GIB, None)) is None


def test_idle_workers_on_several_gpus_make_room_and_the_shares_count_on_it() -> None:
    idle = (
        IdleWorker(worker_id="zero", idle_s=9, device="GPU-0", vram_bytes=20 * GIB),
        IdleWorker(worker_id="one", idle_s=5, device="GPU-1", vram_bytes=20 * GIB),
        IdleWorker(worker_id="elsewhere", idle_s=900, device="CPU-0", memory_bytes=40 * GIB),
    )
    start = decide(model(40), hive({"GPU-0": 4, "GPU-1": 4}, idle=idle))
    assert (start.device, start.evict) == ("GPU-0,GPU-1", ("zero", "one"))
    assert max(shares(start).values()) <= 24 * GIB


def test_a_worker_on_several_gpus_gives_each_what_it_holds_there() -> None:
    idle = (
        IdleWorker(
            worker_id="both",
            idle_s=9,
            device="GPU-0,GPU-1",
            vram_bytes=40 * GIB,
            gpu_bytes={"GPU-0": 22 * GIB, "GPU-1": 18 * GIB},
        ),
    )
    start = decide(model(20), hive({"GPU-0": 1, "GPU-1": 2}, idle=idle))
    assert (start.device, start.evict) == ("GPU-0", ("both",))


def test_what_a_worker_holds_of_each_gpu_is_what_it_uses_or_was_promised() -> None:
    sample = ProcessStats(
        pid=1, vram_mb=30, vram_by_gpu_mb={"GPU-0": 20, "GPU-1": 10}, granted_by_gpu_mb={"GPU-0": 15, "GPU-1": 15}
    )
    found = idle_worker("w", 1, "GPU-0,GPU-1", Backend.CUDA, sample)
    assert found.gpu_bytes == {"GPU-0": 20 * 2**20, "GPU-1": 15 * 2**20}
    assert found.vram_bytes == 35 * 2**20


@pytest.mark.parametrize("named", ["GPU-1,GPU-0", "GPU-0, GPU-1", "0,1"])
def test_devices_that_are_named_are_taken_though_one_would_do(named: str) -> None:
    start = decide(model(4, device=named), hive({"GPU-0": 24, "GPU-1": 16, "GPU-2": 80}))
    assert start.device == "GPU-0,GPU-1"


def test_devices_that_are_named_and_too_small_are_tried_all_the_same() -> None:
    start = decide(model(60, device="GPU-0,GPU-1"), hive({"GPU-0": 24, "GPU-1": 16}))
    assert isinstance(start, Start)
    assert "the request names GPU-0,GPU-1" in start.because[-1]


@pytest.mark.parametrize("named", ["GPU-0,GPU-9", "GPU-0,CPU-0", ","])
def test_devices_that_are_no_set_suit_no_engine(named: str) -> None:
    decision = decide(model(4, device=named), hive({"GPU-0": 24, "GPU-1": 16}))
    assert f"no device {named} there suits" in reasons(decision)


@pytest.mark.parametrize(
    ("runs_on", "wanted", "used"),
    [
        ("GPU-0,GPU-1", "GPU-1,GPU-0", True),
        ("GPU-0,GPU-1", "1,0", True),
        ("GPU-0,GPU-1", "GPU-0", False),
        ("GPU-0", "GPU-0,GPU-1", False),
    ],
)
def test_a_worker_is_the_one_that_is_meant_when_its_devices_are_the_same(
    runs_on: str, wanted: str, *, used: bool
) -> None:
    view = WorkerView(worker_id="w", hive_id="h", slots_free=1)
    worker = Candidate(view=view, state=WorkerState.READY, presence="online", routable=True, device=runs_on)
    assert isinstance(place(model(4, device=wanted), [worker], tuple, SeedPolicy()), Use) is used


def test_demands_on_devices_hold_of_a_worker_on_several_when_they_hold_of_each() -> None:
    cards = hive({"GPU-0": 24, "GPU-1": 24})
    assert holds([selector("gpu=card")], cards, "GPU-0,GPU-1")
    assert not holds([selector("gpu=card 1")], cards, "GPU-0,GPU-1")
    assert decide(
        model(40, where=(selector("gpu!=card 1"),)), hive({"GPU-0": 24, "GPU-1": 30, "GPU-2": 20})
    ).device == ("GPU-0,GPU-2")


def test_shares_of_an_unknown_need_are_unknown_and_of_unknown_devices_even() -> None:
    assert shares_of(None, ("a", "b"), (1, 2)) == (DeviceShare(device="a"), DeviceShare(device="b"))
    assert [one.memory_bytes for one in shares_of(7, ("a", "b"), (1, None))] == [4, 3]


FREE = st.lists(st.integers(0, 80), min_size=1, max_size=6).map(
    lambda found: {f"GPU-{number}": gib for number, gib in enumerate(found)}
)
NEEDS = st.floats(0.5, 200)
IDLE = st.lists(
    st.tuples(
        st.sampled_from(["GPU-0", "GPU-1", "GPU-0,GPU-1"]), st.integers(0, 40), st.integers(0, 99), st.booleans()
    ),
    max_size=4,
)


def crowd(idle: list[tuple[str, int, int, bool]]) -> tuple[IdleWorker, ...]:
    return tuple(
        IdleWorker(
            worker_id=f"w{number}",
            idle_s=idle_s,
            device=device,
            vram_bytes=gib * GIB,
            pinned=pinned,
            gpu_bytes=dict.fromkeys(device.split(","), gib * GIB // 2) if "," in device else {},
        )
        for number, (device, gib, idle_s, pinned) in enumerate(idle)
    )


def freed(start: Start, idle: tuple[IdleWorker, ...], device: str) -> int:
    going = [one for one in idle if one.worker_id in start.evict]
    return sum(one.gpu_bytes.get(device, 0) or (one.vram_bytes or 0) * (one.device == device) for one in going)


@given(FREE, NEEDS, IDLE)
def test_no_placement_takes_more_of_a_device_than_it_has_or_gets(
    free: dict[str, int], gib: float, idle: list[tuple[str, int, int, bool]]
) -> None:
    workers = crowd(idle)
    start = decide(model(gib), hive(free, idle=workers))
    if isinstance(start, Refusal):
        return
    assert not any(one.pinned for one in workers if one.worker_id in start.evict)
    assert start.memory_bytes is not None
    taken = shares(start) or {start.device: start.memory_bytes}
    assert sum(taken.values()) == start.memory_bytes
    assert start.device == ",".join(taken)
    for device, share in taken.items():
        assert 0 <= share <= free[device] * GIB + freed(start, workers, device)


@given(FREE, NEEDS, IDLE, st.integers(0, 80))
def test_another_device_never_turns_a_placement_into_a_refusal(
    free: dict[str, int], gib: float, idle: list[tuple[str, int, int, bool]], more: int
) -> None:
    before = decide(model(gib), hive(free, idle=crowd(idle)))
    after = decide(model(gib), hive({**free, f"GPU-{len(free)}": more}, idle=crowd(idle)))
    if isinstance(before, Start):
        assert isinstance(after, Start)
        assert len(after.shares) <= len(before.shares), "nor into one over more devices"


@given(FREE, NEEDS, IDLE, st.randoms(use_true_random=False))
def test_equal_inputs_give_equal_outputs_in_whatever_order_devices_are_told(
    free: dict[str, int], gib: float, idle: list[tuple[str, int, int, bool]], dice: Any
) -> None:
    view = hive(free, idle=crowd(idle))
    shuffled = list(view.devices or ())
    dice.shuffle(shuffled)
    first = decide(model(gib), view)
    assert first == decide(model(gib), view)
    other = decide(model(gib), msgspec.structs.replace(view, devices=tuple(shuffled)))
    assert first == other


@given(FREE, NEEDS)
def test_what_fits_one_gpu_is_on_one_and_what_is_spread_fits_no_fewer(free: dict[str, int], gib: float) -> None:
    start = decide(model(gib), hive(free))
    need = estimate(model(gib).variants[0])
    one_does = any(fits(need, (has * GIB,)) for has in free.values())
    assert one_does is (isinstance(start, Start) and not start.shares)
    if isinstance(start, Start) and start.shares:
        fewer = sorted(free.values(), reverse=True)[: len(start.shares) - 1]
        assert not fits(need.over(len(fewer)), [has * GIB for has in fewer])


@given(st.integers(0, 2**50), st.lists(st.integers(0, 2**45), min_size=2, max_size=8))
def test_shares_come_to_the_need_and_stay_within_what_is_free(need: int, free: list[int]) -> None:
    ids = [f"GPU-{number}" for number in range(len(free))]
    given_ = [one.memory_bytes or 0 for one in shares_of(need, ids, free)]
    assert sum(given_) == need
    assert min(given_) >= 0
    if need <= sum(free):
        assert all(part <= has for part, has in zip(given_, free, strict=True))


@given(st.lists(st.integers(0, 99), min_size=2, max_size=6))
def test_no_other_set_of_as_many_has_more(free: list[int]) -> None:
    devices = [gpu(number) for number in range(len(free))]
    has = dict(zip((one.id for one in devices), free, strict=True))
    for found in sets_of(devices, lambda device: has[device.id]):
        assert sum(has[one.id] for one in found) == sum(sorted(free, reverse=True)[: len(found)])
