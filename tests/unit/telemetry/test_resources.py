"""What a machine has and what of it is free; unknown stays unknown."""

from __future__ import annotations

import pytest
from rbee.contract import Device, DeviceType
from rbee.contract.wire import GpuStats, HiveInfo, NodeStats, ProcessStats
from rbee.telemetry import HiveRecord
from rbee.telemetry.resources import free_vram_mb, resources_of

CPU = Device(id="CPU-0", name="x", device_type=DeviceType.CPU)
GPU = Device(id="GPU-0", name="y", device_type=DeviceType.GPU, memory_bytes=8192 * 2**20)
INFO = HiveInfo(id="h", hostname="x", port=1, threads_total=8, threads_free=3)


def node(*gpus: GpuStats) -> NodeStats:
    return NodeStats(ram_used_mb=10, ram_total_mb=64, gpus=gpus)


def test_all_figures_of_a_machine_that_tells_all() -> None:
    cards = (
        GpuStats(id="GPU-0", vram_used_mb=92, vram_total_mb=8192),
        GpuStats(id="GPU-1", vram_used_mb=0, vram_total_mb=100),
    )
    found = resources_of(HiveRecord(hive_id="h", info=INFO, devices=(CPU, GPU), node=node(*cards)), online=True)
    assert (found.ram_total_mb, found.ram_free_mb) == (64, 54)
    assert (found.vram_total_mb, found.vram_free_mb) == (8292, 8200)
    assert (found.threads_total, found.threads_free) == (8, 3)
    assert (found.devices, found.gpus) == ((CPU, GPU), cards)


def test_what_was_not_told_is_unknown() -> None:
    found = resources_of(HiveRecord(hive_id="h"), online=True)
    assert (found.devices, found.ram_free_mb, found.vram_total_mb, found.vram_free_mb, found.threads_free) == (
        None,
    ) * 5


def test_a_machine_without_a_gpu_has_none_free() -> None:
    found = resources_of(HiveRecord(hive_id="h", devices=(CPU,), node=node()), online=True)
    assert (found.vram_total_mb, found.vram_free_mb) == (0, 0)


def test_a_gpu_that_nobody_measures_makes_the_sum_unknown() -> None:
    found = resources_of(HiveRecord(hive_id="h", devices=(CPU, GPU), node=node()), online=True)
    assert (found.vram_total_mb, found.vram_free_mb) == (8192, None)


def test_what_is_free_on_a_silent_machine_is_unknown() -> None:
    record = HiveRecord(hive_id="h", info=INFO, devices=(CPU,), node=node())
    found = resources_of(record, online=False)
    assert (found.ram_free_mb, found.vram_free_mb, found.threads_free, found.gpus) == (None,) * 4
    assert (found.ram_total_mb, found.threads_total, found.devices) == (64, 8, (CPU,))


@pytest.mark.parametrize(
    ("sample", "stats", "free"),
    [
        (
            {"gpu": "GPU-0", "vram_mb": 10, "total_vram_mb": 100},
            GpuStats(id="GPU-0", vram_used_mb=70, vram_total_mb=100),
            30,
        ),
        ({"gpu": "GPU-0", "vram_mb": 10, "total_vram_mb": 100}, GpuStats(id="GPU-0"), 90),
        (
            {"gpu": "GPU-1", "vram_mb": 10, "total_vram_mb": 100},
            GpuStats(id="GPU-0", vram_used_mb=70, vram_total_mb=100),
            90,
        ),
        ({"vram_mb": 10}, None, None),
        ({}, None, None),
    ],
)
def test_free_memory_of_a_gpu_counts_its_other_users_where_they_are_known(
    sample: dict[str, object], stats: GpuStats | None, free: int | None
) -> None:
    told = None if stats is None else node(stats)
    assert free_vram_mb(ProcessStats(pid=1, **sample), told) == free


def test_free_memory_of_several_gpus_is_that_of_all_of_them() -> None:
    stats = [GpuStats(id=f"GPU-{number}", vram_used_mb=70, vram_total_mb=100 + number) for number in range(3)]
    sample = ProcessStats(pid=1, gpu="GPU-0,GPU-2", vram_mb=40, total_vram_mb=202)
    assert free_vram_mb(sample, node(*stats)) == 30 + 32
    assert free_vram_mb(sample, node(*stats[:2])) == 202 - 40
