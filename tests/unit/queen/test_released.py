"""Whether what a stopped worker held is free again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rbee.contract.wire import (
    DeviceBudget,
    GpuStats,
    HiveHeartbeat,
    HiveInfo,
    JobEvent,
    NodeStats,
    ProcessStats,
    utc_now,
)
from rbee.queen.released import Footprint, until_released
from rbee.telemetry import TelemetryRegistry

SOON_S = 10.0
TOO_SHORT_S = 0.15


class Machine:
    """A hive with a GPU, as it tells of itself."""

    def __init__(self, clock: Any) -> None:
        self.telemetry = TelemetryRegistry(clock)
        self.told: list[JobEvent] = []

    def beat(self, used_mb: int | None = None, promised: tuple[str, ...] = (), **vram_mb: int | None) -> None:
        samples = tuple(
            ProcessStats(pid=number, worker_id=name, gpu="GPU-0", vram_mb=vram)
            for number, (name, vram) in enumerate(vram_mb.items(), 1)
        )
        budget = DeviceBudget(device="GPU-0", total_bytes=9, granted_bytes=0, free_bytes=9, workers=promised)
        gpus = () if used_mb is None else (GpuStats(id="GPU-0", vram_used_mb=used_mb, vram_total_mb=24_000),)
        self.telemetry.update_hive_state(
            HiveHeartbeat(
                hive=HiveInfo(id="h", hostname="x", port=1, memory=(budget,)),
                timestamp=utc_now(),
                workers=samples,
                node=NodeStats(gpus=gpus),
            )
        )

    def held(self) -> Footprint:
        return Footprint.of(self.telemetry, "h", "w")

    async def waits(self, held: Footprint, patience_s: float = TOO_SHORT_S) -> bool:
        """Whether patience had to end."""
        await until_released(self.telemetry, held, self.told.append, patience_s)
        return bool(self.told)


@pytest.fixture
def machine(clock) -> Machine:
    return Machine(clock)


async def test_nobody_waits_for_a_hive_that_tells_nothing(machine) -> None:
    assert not await machine.waits(machine.held(), SOON_S)


async def test_a_process_that_is_no_longer_measured_has_gone(machine) -> None:
    machine.beat(w=None, v=None)
    held = machine.held()
    waiting = asyncio.create_task(machine.waits(held, SOON_S))
    await asyncio.sleep(0)
    assert not waiting.done()
    machine.beat(v=None)
    assert not await waiting


async def test_one_that_is_still_measured_or_promised_something_is_waited_for_and_that_is_told(machine, caplog) -> None:
    machine.beat(w=None)
    assert await machine.waits(machine.held())
    (event,) = machine.told
    assert (event.type, event.action, event.target) == ("narration", "release", "w")
    assert "Hive h still measures what worker w held" in (event.human or "")
    assert "still measures" in caplog.text
    machine.told.clear()
    held = machine.held()
    machine.beat(promised=("w",))
    assert await machine.waits(held)


async def test_memory_of_a_gpu_is_waited_for_beyond_the_process(machine) -> None:
    machine.beat(used_mb=11_000, w=8_000, v=2_000)
    held = machine.held()
    assert held == Footprint("h", "w", measured=True, gpu="GPU-0", vram_mb=8_000, strange_mb=1_000)
    machine.beat(used_mb=11_000, v=2_000)
    waiting = asyncio.create_task(machine.waits(held, SOON_S))
    await asyncio.sleep(0)
    assert not waiting.done()
    # Another worker has grown meanwhile, which is its own.
    machine.beat(used_mb=9_000, v=7_500)
    assert not await waiting


async def test_where_a_gpu_tells_no_figures_the_process_is_enough(machine) -> None:
    machine.beat(w=8_000)
    held = machine.held()
    assert held.strange_mb is None
    machine.beat()
    assert not await machine.waits(held, SOON_S)


async def test_figures_that_are_older_than_the_stop_count_only_of_who_was_measured_before(machine, clock) -> None:
    machine.beat()
    clock.tick(1)
    held = machine.held()
    assert not held.measured
    waiting = asyncio.create_task(machine.waits(held, SOON_S))
    await asyncio.sleep(0)
    assert not waiting.done()
    machine.beat()
    assert not await waiting


async def test_memory_of_several_gpus_is_waited_for_on_all_of_them(machine) -> None:
    def told(used: tuple[int, int], *workers: ProcessStats) -> HiveHeartbeat:
        gpus = tuple(
            GpuStats(id=f"GPU-{number}", vram_used_mb=mb, vram_total_mb=24_000) for number, mb in enumerate(used)
        )
        info = HiveInfo(id="h", hostname="x", port=1)
        return HiveHeartbeat(hive=info, timestamp=utc_now(), workers=workers, node=NodeStats(gpus=gpus))

    spread = ProcessStats(
        pid=1, worker_id="w", gpu="GPU-0,GPU-1", vram_mb=9_000, vram_by_gpu_mb={"GPU-0": 5_000, "GPU-1": 4_000}
    )
    other = ProcessStats(pid=2, worker_id="v", gpu="GPU-1", vram_mb=1_000)
    machine.telemetry.update_hive_state(told((5_500, 5_000), spread, other))
    held = machine.held()
    assert held == Footprint("h", "w", measured=True, gpu="GPU-0,GPU-1", vram_mb=9_000, strange_mb=500)
    machine.telemetry.update_hive_state(told((500, 5_000), other))
    waiting = asyncio.create_task(machine.waits(held, SOON_S))
    await asyncio.sleep(0)
    assert not waiting.done(), "one of the two has given nothing back"
    machine.telemetry.update_hive_state(told((500, 1_000), other))
    assert not await waiting
