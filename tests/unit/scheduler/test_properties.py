"""What holds of every start: of memory and threads, of more of either, and of a fleet that is full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract import Backend, Device
from rbee.contract.devices import device_ids
from rbee.contract.types import DeviceType
from rbee.contract.wire import LearnedMemory
from rbee.scheduler import Decision, HiveView, IdleWorker, PlaceRequest, Refusal, Start, blank, place
from rbee.scheduler.artefacts import estimates
from rbee.scheduler.correction import as_seen
from rbee.scheduler.groups import frees
from unit.scheduler.test_place import CPU, GIB, GPU, POLICY, engine, variant

HALVES = st.integers(0, 8).map(lambda halves: halves * GIB // 2)
SMALL = st.integers(0, 40).map(lambda parts: parts * GIB // 16)
"""Of a GPU: often too little for a model, for which two together may have enough."""

BOTH = (Backend.CPU, Backend.CUDA)
DEVICES = (CPU, GPU, msgspec.structs.replace(GPU, id="GPU-1"))
ENGINES = (
    engine("a", backends=BOTH),
    engine("b", backends=BOTH, preference={Backend.CUDA: 10}, splits=(Backend.CUDA,)),
    engine("c", backends=BOTH, formats=("other",)),
    engine("d", backends=BOTH, available=False),
)
NAMES = ("m", "n", "o")


def lesson(model_id: str, engine_name: str, backend: Backend, reserve_bytes: int) -> LearnedMemory:
    names = blank(model_id, engine_name, backend, "h", datetime(2026, 1, 2, tzinfo=UTC))
    return msgspec.structs.replace(names, reserve_bytes=reserve_bytes, peak_bytes=GIB, estimate_bytes=GIB)


def idle(device: str | None, held: int, **more: Any) -> IdleWorker:
    return IdleWorker(
        device=device,
        vram_bytes=held if device not in {None, CPU.id} else None,
        memory_bytes=held if device in {None, CPU.id} else 0,
        **more,
    )


IDLE = st.builds(
    idle,
    device=st.sampled_from([None, *(device.id for device in DEVICES)]),
    held=HALVES,
    worker_id=st.sampled_from("uvwxyz"),
    idle_s=st.integers(0, 9).map(float),
    load_s=st.sampled_from([None, 0.5, 30.0]),
    pinned=st.booleans(),
    threads=st.sampled_from([None, 0, 2]),
)
LESSON = st.builds(lesson, st.sampled_from(NAMES), st.sampled_from("abc"), st.sampled_from(BOTH), HALVES)
HIVES = st.lists(
    st.builds(
        HiveView,
        hive_id=st.sampled_from("fghi"),
        online=st.sampled_from([True, True, False]),
        accepting=st.sampled_from([True, True, False]),
        devices=st.sampled_from([DEVICES, DEVICES[1:], DEVICES[:2], DEVICES[:1]]),
        engines=st.sampled_from([ENGINES, ENGINES[:2], ENGINES[1:], ENGINES[:1], ENGINES[3:]]),
        threads_free=st.integers(0, 2),
        ram_free_bytes=HALVES,
        gpu_free_bytes=st.fixed_dictionaries({device.id: SMALL for device in DEVICES[1:]}),
        idle=st.lists(IDLE, max_size=3, unique_by=lambda one: one.worker_id).map(tuple),
        held=st.frozensets(st.sampled_from(NAMES)),
        learned=st.lists(LESSON, max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda one: one.hive_id,
)
VARIANTS = st.lists(
    st.builds(variant, st.sampled_from(NAMES), HALVES, st.sampled_from(["blob", "other"])),
    min_size=1,
    max_size=3,
    unique_by=lambda one: one.model_id,
)
REQUESTS = VARIANTS.map(lambda found: PlaceRequest(variants=tuple(found)))


def decide(request: PlaceRequest, hives: list[HiveView]) -> Decision:
    return place(request, (), lambda: hives, POLICY)


def free(hive: HiveView, device: Device) -> int:
    found = hive.gpu_free_bytes[device.id] if device.device_type is DeviceType.GPU else hive.ram_free_bytes
    assert found is not None
    return found


@given(REQUESTS, HIVES)
def test_no_start_takes_more_than_there_is_and_nobody_is_stopped_in_vain(
    request: PlaceRequest, hives: list[HiveView]
) -> None:
    start = decide(request, hives)
    if not isinstance(start, Start):
        return
    (hive,) = [one for one in hives if one.hive_id == start.hive_id]
    group = [one for name in device_ids(start.device) for one in hive.devices or () if one.id == name]
    assert len({one.id for one in group}) == len(group) == len(device_ids(start.device)) > 0
    assert hive.online
    assert hive.accepting
    workers = {worker.worker_id: worker for worker in hive.idle}
    stopped = [workers[worker_id] for worker_id in start.evict]
    assert len({worker.worker_id for worker in stopped}) == len(stopped)
    assert not any(worker.pinned for worker in stopped)
    place_there = next(i for i, one in enumerate(request.variants) if one.model_id == start.model_id)
    plain = estimates(request)[place_there]
    need = as_seen(plain.over(len(group)), hive.learned, start.model_id, start.engine, group[0].backend, hive.hive_id)
    assert start.memory_bytes == need.total_bytes
    needed = start.memory_bytes or 0
    # Each of several has at least what every one needs for itself.
    each = plain.further_bytes if len(group) > 1 else 0

    def enough(gone: list[IdleWorker]) -> bool:
        has = [free(hive, one) + sum(frees(worker, one) for worker in gone) for one in group]
        threads = (hive.threads_free or 0) + len(gone)
        return threads >= start.threads and sum(has) >= needed and min(has) >= each

    assert enough(stopped)
    assert not stopped or not enough(stopped[:-1])
    if len(group) > 1:
        assert [share.device for share in start.shares] == [one.id for one in group]
        assert sum(share.memory_bytes or 0 for share in start.shares) == needed
        for share, one in zip(start.shares, group, strict=True):
            assert (share.memory_bytes or 0) <= free(hive, one) + sum(frees(worker, one) for worker in stopped)


def more_memory(hive: HiveView, extra: int) -> HiveView:
    return msgspec.structs.replace(
        hive,
        ram_free_bytes=(hive.ram_free_bytes or 0) + extra,
        gpu_free_bytes={name: found + extra for name, found in hive.gpu_free_bytes.items()},
    )


def more_threads(hive: HiveView, _: int) -> HiveView:
    return msgspec.structs.replace(hive, threads_free=(hive.threads_free or 0) + 1)


def more_devices(hive: HiveView, extra: int) -> HiveView:
    new = msgspec.structs.replace(GPU, id="GPU-9")
    return msgspec.structs.replace(
        hive, devices=(*(hive.devices or ()), new), gpu_free_bytes={**hive.gpu_free_bytes, new.id: extra}
    )


def more_engines(hive: HiveView, _: int) -> HiveView:
    return msgspec.structs.replace(hive, engines=ENGINES)


MORE: tuple[Callable[[HiveView, int], HiveView], ...] = (more_memory, more_threads, more_devices, more_engines)


@given(REQUESTS, HIVES, st.sampled_from(MORE), HALVES)
def test_more_of_a_machine_never_makes_a_refusal_out_of_a_placement(
    request: PlaceRequest, hives: list[HiveView], more: Callable[[HiveView, int], HiveView], extra: int
) -> None:
    if isinstance(decide(request, hives), Start):
        assert isinstance(decide(request, [more(hives[0], extra), *hives[1:]]), Start)


@given(REQUESTS, HIVES, HIVES)
def test_more_machines_never_make_a_refusal_out_of_a_placement(
    request: PlaceRequest, hives: list[HiveView], others: list[HiveView]
) -> None:
    if isinstance(decide(request, hives), Start):
        known = {hive.hive_id for hive in hives}
        assert isinstance(decide(request, [*hives, *(one for one in others if one.hive_id not in known)]), Start)


@given(REQUESTS, HIVES)
def test_a_full_fleet_refuses_with_one_reason_a_hive(request: PlaceRequest, hives: list[HiveView]) -> None:
    full = [
        msgspec.structs.replace(
            hive,
            threads_free=0,
            idle=tuple(msgspec.structs.replace(worker, pinned=True) for worker in hive.idle),
        )
        for hive in hives
    ]
    refusal = decide(request, full)
    assert isinstance(refusal, Refusal)
    told = Counter(reason.subject for reason in refusal.reasons)
    assert told == {f"hive {hive.hive_id}": 1 for hive in hives}
    assert all(reason.text for reason in refusal.reasons)


@given(REQUESTS, HIVES)
def test_a_start_tells_of_every_other_hive_that_would_not_do(request: PlaceRequest, hives: list[HiveView]) -> None:
    decision = decide(request, hives)
    told = Counter(reason.subject for reason in decision.reasons)
    alone = {f"hive {hive.hive_id}": 1 for hive in hives if isinstance(decide(request, [hive]), Refusal)}
    assert told == alone


def test_an_engine_that_took_too_much_before_does_not_stand_in_the_way_of_one_that_gets_by_with_less() -> None:
    hive = HiveView(
        hive_id="h",
        online=True,
        devices=(GPU,),
        engines=ENGINES[:1],
        threads_free=1,
        ram_free_bytes=0,
        gpu_free_bytes={GPU.id: 2 * GIB},
        learned=(lesson("m", "b", Backend.CUDA, 3 * GIB),),
    )
    request = PlaceRequest(variants=(variant("m", GIB),))
    alone = decide(request, [hive])
    both = decide(request, [msgspec.structs.replace(hive, engines=ENGINES[:2])])
    assert isinstance(alone, Start)
    assert isinstance(both, Start)
    assert both.engine == "a"
    assert "needs about 2457 MiB, as it did here before" in both.because[0]
    # Where it fits it is the better one.
    roomy = msgspec.structs.replace(hive, engines=ENGINES[:2], gpu_free_bytes={GPU.id: 8 * GIB})
    best = decide(request, [roomy])
    assert isinstance(best, Start)
    assert best.engine == "b"
