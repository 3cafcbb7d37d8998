"""Memory of devices, promised."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract.errors import InsufficientMemoryError
from rbee.contract.types import Device, DeviceShare, DeviceType
from rbee.contract.wire import GpuStats, HiveHeartbeat, HiveInfo, NodeStats, ProcessStats, utc_now
from rbee.hive.memory_budget import MemoryBudget

MIB = 2**20
CPU = Device(id="CPU-0", name="c", device_type=DeviceType.CPU, memory_bytes=1000 * MIB)
CARD = Device(id="GPU-0", name="g", device_type=DeviceType.GPU, backend="cuda", memory_bytes=500 * MIB)
CHIP = Device(id="GPU-0", name="m", device_type=DeviceType.GPU, backend="metal", memory_bytes=700 * MIB)


def beat(node: NodeStats | None, *workers: ProcessStats) -> HiveHeartbeat:
    info = HiveInfo(id="h", hostname="x", port=1)
    return HiveHeartbeat(hive=info, timestamp=utc_now(), workers=workers, node=node)


def on(*devices: Device, told: HiveHeartbeat | None = None, **more: Any) -> MemoryBudget:
    return MemoryBudget(lambda: devices, lambda: told, **more)


def take(budget: MemoryBudget, worker: str, mib: int | None, device: str = "CPU-0") -> int | None:
    promised = budget.grant(worker, f"model-{worker}", device, None if mib is None else mib * MIB)
    return None if promised is None else promised // MIB


def free(budget: MemoryBudget, device: str = "CPU-0") -> int | None:
    (found,) = [one.free_bytes for one in budget.shares() if one.device == device]
    return None if found is None else found // MIB


WORKERS = st.sampled_from("abcdef")
STEP = st.tuples(
    st.sampled_from(["grant", "adopt", "release"]),
    WORKERS,
    st.sampled_from(["CPU-0", "GPU-0"]),
    st.none() | st.integers(1, 900),
)


@given(st.sampled_from([CARD, CHIP]), st.lists(STEP, max_size=40))
def test_the_sum_is_never_above_the_machine_whoever_comes_and_goes(
    gpu: Device, steps: list[tuple[str, str, str, int | None]]
) -> None:
    budget = on(CPU, gpu)
    totals = {"CPU-0": 1000, "GPU-0": gpu.memory_bytes // MIB}
    held: dict[str, tuple[str, int]] = {}

    def sums(extra: tuple[str, int] | None = None) -> dict[str, int]:
        all_held = [*held.values(), *([extra] if extra else [])]
        found = {name: sum(mib for device, mib in all_held if device == name) for name in totals}
        if gpu is CHIP:
            found["CPU-0"] += found["GPU-0"]
        return found

    def fits(found: dict[str, int]) -> bool:
        return all(found[name] <= totals[name] for name in totals)

    for verb, worker, device, mib in steps:
        asked = (device, mib or 0)
        if verb == "release":
            budget.give_back(worker)
            held.pop(worker, None)
        elif worker in held:
            continue
        elif verb == "adopt":
            # What runs was promised by an earlier life, within the same machine.
            if fits(sums(asked)):
                budget.note(worker, device, None if mib is None else mib * MIB)
                held[worker] = asked
        else:
            try:
                promised = take(budget, worker, mib, device)
            except InsufficientMemoryError:
                assert not fits(sums(asked))
            else:
                assert (promised or 0) >= (mib or 0)
                held[worker] = (device, promised or 0)
        assert fits(sums())
        assert {one.device: one.granted_bytes // MIB for one in budget.shares()} == sums()
    for worker in list(held):
        budget.give_back(worker)
    assert [one.granted_bytes for one in budget.shares()] == [0, 0], "nothing leaks"


def test_a_refusal_has_its_figures_and_the_next_step() -> None:
    budget = on(CPU)
    take(budget, "a", 700)
    with pytest.raises(InsufficientMemoryError) as caught:
        take(budget, "b", 400)
    for words in ("'model-b' needs about 400 MiB of CPU-0", "300 MiB of 1000 MiB are left", "rbee worker stop a"):
        assert words in caught.value.message
    assert caught.value.details == {
        "device": "CPU-0",
        "needed_bytes": 400 * MIB,
        "free_bytes": 300 * MIB,
        "total_bytes": 1000 * MIB,
        "held_bytes": 700 * MIB,
        "workers": ["a"],
    }
    budget.give_back("a")
    take(budget, "b", 400)


def test_what_other_programs_use_and_what_workers_have_not_taken_yet_is_not_left() -> None:
    node = NodeStats(ram_used_mb=600, ram_total_mb=1000)
    told = beat(node, ProcessStats(pid=1, worker_id="a", rss_mb=50))
    budget = on(CPU, told=told)
    assert free(budget) == 400
    take(budget, "a", 200)
    assert free(budget) == 250, "150 MiB are still to come"
    take(budget, "unseen", 100)
    assert free(budget) == 150


def test_a_worker_that_uses_more_than_it_was_promised_holds_what_it_uses() -> None:
    told = beat(None, ProcessStats(pid=1, worker_id="a", rss_mb=300), ProcessStats(pid=2, worker_id="b", rss_mb=250))
    budget = on(CPU, told=told)
    take(budget, "a", 200)
    take(budget, "b", None)
    assert free(budget) == 450


def test_a_card_of_which_only_the_whole_is_measured_is_not_counted_twice() -> None:
    node = NodeStats(gpus=(GpuStats(id="GPU-0", vram_used_mb=300, vram_total_mb=500),))
    budget = on(CPU, CARD, told=beat(node, ProcessStats(pid=1, worker_id="a")))
    take(budget, "a", 200, "GPU-0")
    assert (free(budget, "GPU-0"), free(budget)) == (200, 1000)
    with pytest.raises(InsufficientMemoryError):
        take(budget, "b", 201, "GPU-0")


def test_a_chip_without_memory_of_its_own_shares_the_machines() -> None:
    budget = on(CPU, CHIP)
    assert take(budget, "a", 244, "GPU-0") == 500
    assert (free(budget, "GPU-0"), free(budget)) == (200, 500)
    take(budget, "b", 400)
    assert (free(budget, "GPU-0"), free(budget)) == (100, 100)


@pytest.mark.parametrize(("need", "promised"), [(1000, 1256), (8000, 9000), (19000, 20000), (20000, 20000)])
def test_on_a_card_an_engine_gets_more_than_the_estimate_as_far_as_it_is_there(need: int, promised: int) -> None:
    card = Device(id="GPU-0", name="g", device_type=DeviceType.GPU, backend="cuda", memory_bytes=20000 * MIB)
    assert take(on(CPU, card), "a", need, "GPU-0") == promised
    assert take(on(CPU, CHIP), "a", 300) == 300, "no engine takes it for a wall on a processor"


def test_what_is_unknown_is_no_obstacle_and_not_zero() -> None:
    unknown = Device(id="GPU-0", name="g", device_type=DeviceType.GPU, backend="cuda")
    budget = on(CPU, unknown)
    take(budget, "a", 10**6, "GPU-0")
    take(budget, "b", None)
    take(budget, "c", 10**6, "GPU-7")
    assert (free(budget, "GPU-0"), free(budget)) == (None, 1000)


@pytest.mark.parametrize(
    ("share", "left", "beside"),
    [(0.25, 250, 250), (0.5, 500, 500), (0.8, 800, 600), (1.0, 1000, 600), (2.0, 2000, 1600)],
)
def test_how_much_may_be_promised_can_be_said(share: float, left: int, beside: int) -> None:
    assert free(on(CPU, share=share)) == left
    node = NodeStats(ram_used_mb=400, ram_total_mb=1000)
    # Others use what the share leaves to them, and only what they use beyond that is not left to workers.
    assert free(on(CPU, told=beat(node), share=share)) == beside


def test_of_a_share_what_workers_use_is_gone_and_what_others_use_is_not() -> None:
    node = NodeStats(ram_used_mb=600, ram_total_mb=1000)
    budget = on(CPU, told=beat(node, ProcessStats(pid=1, worker_id="a", rss_mb=200)), share=0.5)
    take(budget, "a", 250)
    # Of 500 MiB for workers 250 are promised; 400 are free, of which 50 are still to come.
    assert free(budget) == 250
    crowded = NodeStats(ram_used_mb=900, ram_total_mb=1000)
    budget = on(CPU, told=beat(crowded, ProcessStats(pid=1, worker_id="a", rss_mb=200)), share=0.5)
    take(budget, "a", 0)
    assert free(budget) == 100, "others have 700, so workers have no more than 300 in all"


def test_what_the_system_would_kill_is_not_started() -> None:
    budget = on(CPU, CARD, most_mb=300)
    take(budget, "a", 300)
    with pytest.raises(InsufficientMemoryError, match=r"a worker may use 300 MiB here.*hive\.worker_memory_max_mb"):
        take(budget, "b", 301)
    take(budget, "c", 301, "GPU-0")


def test_each_device_names_those_that_it_is_promised_to() -> None:
    card = Device(id="GPU-1", name="g", device_type=DeviceType.GPU, backend="cuda", memory_bytes=500 * MIB)
    budget = on(CPU, CHIP, card)
    take(budget, "b", 10)
    take(budget, "a", 10, "GPU-0")
    take(budget, "c", None, "GPU-1")
    assert {one.device: one.workers for one in budget.shares()} == {
        "CPU-0": ("a", "b"), "GPU-0": ("a",), "GPU-1": ("c",),
    }  # fmt: skip
    budget.give_back("a")
    assert [one.workers for one in budget.shares()] == [("b",), (), ("c",)]


OTHER = msgspec.structs.replace(CARD, id="GPU-1", memory_bytes=800 * MIB)


def spread(budget: MemoryBudget, worker: str, mib: int | None) -> dict[str, int | None]:
    found = budget.spread(worker, "m", ("GPU-0", "GPU-1"), None if mib is None else mib * MIB)
    return {one.device: None if one.memory_bytes is None else one.memory_bytes // MIB for one in found}


def test_a_worker_on_two_cards_is_promised_of_each_in_proportion_and_some_more() -> None:
    budget = on(CPU, CARD, OTHER)
    assert spread(budget, "a", 260) == {"GPU-0": 100 + 256, "GPU-1": 160 + 256}
    assert (free(budget, "GPU-0"), free(budget, "GPU-1"), free(budget)) == (144, 384, 1000)
    assert spread(budget, "a", 1) == {"GPU-0": 356, "GPU-1": 416}, "one that has its share keeps it"
    assert budget.grant("a", "m", "GPU-0", 1) == 772 * MIB
    budget.give_back("a")
    assert (free(budget, "GPU-0"), free(budget, "GPU-1")) == (500, 800)


def test_what_two_cards_have_not_together_is_refused_with_the_figures_of_each_and_nothing_is_held() -> None:
    budget = on(CPU, CARD, OTHER)
    take(budget, "x", 100, "GPU-1")
    with pytest.raises(InsufficientMemoryError) as refused:
        spread(budget, "a", 1000)
    assert "'m' needs about 1000 MiB of 2 devices together, and 500 MiB on GPU-0 and 444 MiB on GPU-1 are left" in (
        refused.value.message
    )
    assert "Workers hold the rest: x." in refused.value.message
    assert refused.value.details == {
        "devices": ["GPU-0", "GPU-1"],
        "needed_bytes": 1000 * MIB,
        "free_bytes": [500 * MIB, 444 * MIB],
        "workers": ["x"],
    }
    assert (free(budget, "GPU-0"), free(budget, "GPU-1")) == (500, 444)


def test_a_worker_on_two_cards_holds_what_it_uses_of_each_where_that_is_more_than_promised() -> None:
    sample = ProcessStats(pid=1, worker_id="a", vram_mb=650, vram_by_gpu_mb={"GPU-0": 450, "GPU-1": 200})
    budget = on(CPU, CARD, OTHER, told=beat(None, sample))
    shares = (DeviceShare(device="GPU-0", memory_bytes=300 * MIB), DeviceShare(device="GPU-1", memory_bytes=300 * MIB))
    budget.note_shares("a", shares)
    assert (free(budget, "GPU-0"), free(budget, "GPU-1")) == (50, 500)


def test_an_unknown_need_is_let_in_on_two_cards_and_counts_with_what_it_uses() -> None:
    budget = on(CPU, CARD, OTHER)
    assert spread(budget, "a", None) == {"GPU-0": None, "GPU-1": None}
    assert (free(budget, "GPU-0"), free(budget, "GPU-1")) == (500, 800)
    assert budget.grant("a", "m", "GPU-0", 1) is None


@given(st.lists(st.tuples(WORKERS, st.integers(1, 900), st.booleans()), max_size=20))
def test_no_card_is_promised_beyond_what_it_has_by_whoever_spreads(steps: list[tuple[str, int, bool]]) -> None:
    budget = on(CPU, CARD, OTHER)
    for worker, mib, comes in steps:
        if not comes:
            budget.give_back(worker)
            continue
        try:
            spread(budget, worker, mib)
        except InsufficientMemoryError:
            continue
    for one in budget.shares():
        assert one.granted_bytes <= (one.total_bytes or 0)
