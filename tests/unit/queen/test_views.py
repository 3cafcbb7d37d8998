"""Telemetry as the scheduler sees it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from rbee.contract import Backend, Capability, Device, DeviceType, ModelVariant, WorkerState
from rbee.contract.wire import (
    DeviceBudget,
    GpuStats,
    HeldModel,
    HiveHeartbeat,
    HiveInfo,
    NodeStats,
    ProcessStats,
    WorkerBeat,
    utc_now,
)
from rbee.queen.coming import Coming
from rbee.queen.held import HeldIndex
from rbee.queen.views import Views
from rbee.scheduler import Failure, HiveView, blank
from rbee.telemetry import TelemetryRegistry


@pytest.fixture
def colony(clock) -> TelemetryRegistry:
    return TelemetryRegistry(clock)


def worker(name: str, **more: Any) -> WorkerBeat:
    fields: dict[str, Any] = {
        "model_id": "m",
        "device": "CPU-0",
        "port": 1,
        "status": "ready",
        "implementation": "e",
        "version": None,
        "hive_id": "h",
        "slots_total": 2,
        "slots_available": 2,
        "capabilities": (Capability.CHAT,),
    }
    return WorkerBeat(id=name, **(fields | more))


def hive(*samples: ProcessStats, node: NodeStats | None = None, **more: Any) -> HiveHeartbeat:
    info = HiveInfo(**({"id": "h", "hostname": "x", "port": 1, "url": "http://x:1", "threads_free": 3} | more))
    return HiveHeartbeat(hive=info, timestamp=utc_now(), workers=samples, node=node, capabilities=(), engines=())


M = ModelVariant(model_id="m", name="m", vendor="v", format="blob")


def seen(
    colony: TelemetryRegistry, clock, failure: Any = lambda *_: None, held: HeldIndex | None = None, variant: Any = M
) -> HiveView:
    (found,) = Views(colony, held or HeldIndex(), clock, failure).hives((variant,))
    return found


def test_a_models_workers_are_candidates_with_their_figures(colony, clock) -> None:
    colony.beat_worker(worker("a"))
    colony.beat_worker(worker("b", model_id="n"))
    colony.update_hive_state(hive(ProcessStats(pid=1, worker_id="a", gpu_util_pct=40.0, cpu_pct=9.0)))
    colony.reserve("a")
    views = Views(colony, HeldIndex(), clock, lambda *_: None)
    (found,) = views.candidates(("m",))
    assert (views.candidate("a"), views.candidate("z")) == (found, None)
    assert (found.view.worker_id, found.view.hive_id, found.view.gpu_pct, found.view.slots_free) == ("a", "h", 40.0, 1)
    assert (found.state, found.presence, found.routable) == (WorkerState.READY, "online", True)
    assert (found.capabilities, found.device) == ((Capability.CHAT,), "CPU-0")


def test_a_hive_is_a_place_with_its_room(colony, clock) -> None:
    colony.update_hive_state(hive(node=NodeStats(ram_used_mb=10, ram_total_mb=30)))
    found = seen(colony, clock)
    assert (found.online, found.accepting, found.threads_free, found.ram_free_bytes) == (True, True, 3, 20 * 2**20)
    clock.tick(11)
    assert seen(colony, clock).online is False


def test_what_a_hive_has_not_told_is_unknown(colony, clock) -> None:
    colony.update_hive("h", "http://x:1")
    found = seen(colony, clock)
    assert (found.devices, found.engines, found.threads_free, found.ram_free_bytes) == (None, None, None, None)


def test_a_stopping_hive_accepts_nothing(colony, clock) -> None:
    colony.update_hive_state(hive(operational_status="stopping"))
    assert seen(colony, clock).accepting is False


def test_a_failure_is_told_with_its_age(colony, clock) -> None:
    colony.update_hive_state(hive())
    failed = (clock.now, "it burst", 3)
    clock.tick(4)
    found = seen(colony, clock, lambda model_id, hive_id: failed if (model_id, hive_id) == ("m", "h") else None)
    assert found.failed == {"m": Failure(4, "it burst", 3)}


def test_only_idle_workers_of_other_models_could_make_room(colony, clock) -> None:
    for name, more in {
        "wanted": {},
        "idle": {"model_id": "n"},
        "loading": {"model_id": "n", "status": "loading"},
        "reserved": {"model_id": "n"},
        "external": {"model_id": "n", "slots_available": 1},
        "elsewhere": {"model_id": "n", "hive_id": "other"},
    }.items():
        colony.beat_worker(worker(name, **more))
    colony.reserve("reserved")
    colony.update_hive_state(hive(ProcessStats(pid=1, worker_id="idle", rss_mb=5, model="n")))
    (idle,) = seen(colony, clock).idle
    assert (idle.worker_id, idle.memory_bytes) == ("idle", 5 * 2**20)


def test_idle_time_counts_from_the_last_request(colony, clock) -> None:
    colony.beat_worker(worker("idle", model_id="n"))
    colony.update_hive_state(hive())
    colony.reserve("idle")
    clock.tick(5)
    colony.release("idle")
    clock.tick(7)
    assert [one.idle_s for one in seen(colony, clock).idle] == [7]


GIB = 2**30


def card(backend: str = Backend.CUDA, memory_bytes: int | None = None) -> Device:
    return Device(id="GPU-0", name="g", device_type=DeviceType.GPU, backend=backend, memory_bytes=memory_bytes)


@pytest.mark.parametrize(
    ("device", "stats", "free"),
    [
        (card(), GpuStats(id="GPU-0", vram_used_mb=1024, vram_total_mb=8192), 7 * GIB),
        (card(memory_bytes=8 * GIB), GpuStats(id="GPU-0", vram_used_mb=1024), 7 * GIB),
        (card(memory_bytes=8 * GIB), None, 8 * GIB),
        (card(), None, None),
        (card(Backend.METAL), None, 2 * GIB),
        (card(Backend.METAL, memory_bytes=12 * GIB), None, 2 * GIB),
    ],
    ids=["measured", "the device's total", "at most its total", "unknown", "the one memory", "the less of both"],
)
def test_the_free_memory_of_a_card_is_what_is_known_of_it(colony, clock, device, stats, free) -> None:
    node = NodeStats(ram_used_mb=1024, ram_total_mb=3072, gpus=() if stats is None else (stats,))
    beat = msgspec.structs.replace(hive(node=node), capabilities=(device,))
    colony.update_hive_state(beat)
    assert seen(colony, clock).gpu_free_bytes == ({} if free is None else {"GPU-0": free})


def test_what_lies_on_the_disk_is_seen_and_a_file_in_place_is_looked_for_where_it_lies(colony, clock) -> None:
    colony.update_hive_state(hive())
    lying = ModelVariant(model_id="m", name="m", vendor="v", format="blob", in_place="/m")
    held = HeldIndex()
    assert (seen(colony, clock, held=held, variant=lying).held, seen(colony, clock, held=held).elsewhere) == (
        set(),
        set(),
    )
    held.put("other", [HeldModel(variant=lying, key="k")])
    assert seen(colony, clock, held=held, variant=lying).elsewhere == {"m"}
    assert seen(colony, clock, held=held).elsewhere == set(), "a copy can be fetched"
    held.put("h", [HeldModel(variant=lying, key="k")])
    found = seen(colony, clock, held=held, variant=lying)
    assert (found.held, found.elsewhere) == ({"m"}, set())


def test_idle_workers_tell_which_memory_they_hold(colony, clock) -> None:
    colony.beat_worker(worker("card", model_id="n", device="GPU-0", backend=Backend.CUDA))
    colony.beat_worker(worker("mac", model_id="n", device="GPU-0", backend=Backend.METAL))
    colony.update_hive_state(
        hive(
            ProcessStats(pid=1, worker_id="card", rss_mb=5, vram_mb=7, model="n"),
            ProcessStats(pid=2, worker_id="mac", rss_mb=6, model="n"),
        )
    )
    found = {one.worker_id: one for one in seen(colony, clock).idle}
    assert (found["card"].device, found["card"].memory_bytes, found["card"].vram_bytes) == (
        "GPU-0",
        5 * 2**20,
        7 * 2**20,
    )
    assert found["mac"].vram_bytes == 6 * 2**20


def test_what_is_promised_is_not_free_although_nobody_has_taken_it_yet(colony, clock) -> None:
    processor = Device(id="CPU-0", name="c", device_type=DeviceType.CPU)
    node = NodeStats(ram_used_mb=1024, ram_total_mb=8192, gpus=(GpuStats(id="GPU-0", vram_total_mb=8192),))
    left = tuple(
        DeviceBudget(device=device, total_bytes=None, granted_bytes=1, free_bytes=free)
        for device, free in (("CPU-0", 2 * GIB), ("GPU-0", 3 * GIB), ("GPU-1", None))
    )
    beat = msgspec.structs.replace(hive(node=node, memory=left), capabilities=(processor, card()))
    colony.update_hive_state(beat)
    found = seen(colony, clock)
    assert (found.ram_free_bytes, found.gpu_free_bytes) == (2 * GIB, {"GPU-0": 3 * GIB})


def test_an_idle_worker_gives_back_what_it_was_promised_where_that_is_more(colony, clock) -> None:
    for name, device, backend in (("cpu", "CPU-0", Backend.CPU), ("card", "GPU-0", Backend.CUDA)):
        colony.beat_worker(worker(name, model_id="n", device=device, backend=backend))
    colony.update_hive_state(
        hive(
            ProcessStats(pid=1, worker_id="cpu", rss_mb=5, memory_granted_mb=8, model="n"),
            ProcessStats(pid=2, worker_id="card", rss_mb=5, memory_granted_mb=9, model="n"),
        )
    )
    found = {one.worker_id: one for one in seen(colony, clock).idle}
    assert (found["cpu"].memory_bytes, found["cpu"].vram_bytes) == (8 * 2**20, None)
    assert (found["card"].memory_bytes, found["card"].vram_bytes) == (5 * 2**20, 9 * 2**20)


def test_what_starts_under_way_will_take_is_not_free_until_their_hive_counts_it_itself(colony, clock) -> None:
    def told(*workers: str) -> HiveView:
        budget = DeviceBudget(device="CPU-0", total_bytes=None, granted_bytes=1, free_bytes=None, workers=workers)
        node = NodeStats(ram_used_mb=10, ram_total_mb=30)
        colony.update_hive_state(hive(node=node, memory=(budget,)))
        coming = (Coming("a", "CPU-0", 15 * 2**20, 1), Coming("b", "CPU-0", None, 1))
        views = Views(colony, HeldIndex(), clock, lambda *_: None, coming=lambda _: coming)
        (plain,) = views.hives((M,), coming=False)
        assert (plain.threads_free, plain.ram_free_bytes) == (3, 20 * 2**20)
        (found,) = views.hives((M,))
        return found

    found = told()
    assert (found.threads_free, found.ram_free_bytes) == (1, 5 * 2**20)
    found = told("a")
    assert (found.threads_free, found.ram_free_bytes) == (2, 20 * 2**20)


def test_what_was_learned_of_the_wanted_variants_is_in_the_view(colony, clock) -> None:
    colony.update_hive_state(hive())
    seen = blank("m", "e", "cpu", "h", utc_now())
    views = Views(
        colony, HeldIndex(), clock, lambda *_: None,
        learned=lambda model_ids, hive_id: (seen,) if (set(model_ids), hive_id) == ({"m"}, "h") else (),
    )  # fmt: skip
    (found,) = views.hives((M,))
    assert found.learned == (seen,)
