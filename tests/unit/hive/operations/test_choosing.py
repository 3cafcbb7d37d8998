"""A hive chooses as the queen does who sees it."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
from rbee.contract import Device, DeviceType, EngineInfo, ModelFile, ModelVariant, WorkerState
from rbee.contract.wire import GpuStats, HiveHeartbeat, HiveInfo, NodeStats, ProcessStats, WorkerBeat, utc_now
from rbee.hive.operations.choosing import Choosing
from rbee.queen.held import HeldIndex
from rbee.queen.views import Views
from rbee.scheduler import PlaceRequest, choose, estimates
from rbee.settings import Settings
from rbee.telemetry import TelemetryRegistry

MIB = 2**20
CPU = Device(id="CPU-0", name="a processor", device_type=DeviceType.CPU)
CARD = Device(id="GPU-0", name="a card", device_type=DeviceType.GPU, backend="cuda", memory_bytes=900 * MIB)
CHIP = Device(id="GPU-0", name="a chip", device_type=DeviceType.GPU, backend="metal")


def variant(word: str, size_mb: int, model_format: str = "gguf") -> ModelVariant:
    files = (ModelFile(name="f", size_bytes=size_mb * MIB),)
    return ModelVariant(model_id=f"v:{word}", name=word, vendor="v", format=model_format, files=files)


VARIANTS = (variant("large", 600), variant("card", 400, "exl"), variant("middle", 300), variant("small", 50))


def engine(name: str, model_format: str, **preference: int) -> EngineInfo:
    return EngineInfo(
        name=name,
        version="1",
        formats=(model_format,),
        backends=tuple(preference),
        capabilities=(),
        available=True,
        preference=preference,
    )


ENGINES = (engine("mill", "gguf", cpu=20, cuda=10, metal=10), engine("cards", "exl", cuda=30))

MACHINES = {
    "plenty": ((CPU,), NodeStats(ram_used_mb=0, ram_total_mb=9000)),
    "little": ((CPU,), NodeStats(ram_used_mb=600, ram_total_mb=1000)),
    "hardly any": ((CPU,), NodeStats(ram_used_mb=990, ram_total_mb=1000)),
    "a card": (
        (CPU, CARD),
        NodeStats(ram_used_mb=0, ram_total_mb=9000, gpus=(GpuStats(id="GPU-0", vram_used_mb=0, vram_total_mb=900),)),
    ),
    "a full card": (
        (CPU, CARD),
        NodeStats(ram_used_mb=0, ram_total_mb=9000, gpus=(GpuStats(id="GPU-0", vram_used_mb=899, vram_total_mb=900),)),
    ),
    "a card that is not measured": ((CPU, CARD), NodeStats(ram_used_mb=0, ram_total_mb=9000)),
    "a chip": ((CPU, CHIP), NodeStats(ram_used_mb=0, ram_total_mb=420)),
    "nothing measured": ((CPU,), None),
}


@pytest.mark.parametrize("busy_mb", [0, 500])
@pytest.mark.parametrize("machine", MACHINES)
async def test_queen_and_hive_choose_the_same(machine: str, busy_mb: int, clock: Any) -> None:
    devices, node = MACHINES[machine]
    sample = ProcessStats(pid=os.getpid(), worker_id="w", rss_mb=busy_mb)
    beat = HiveHeartbeat(
        hive=HiveInfo(id="h", hostname="x", port=1, url="http://x:1"),
        timestamp=utc_now(),
        workers=(sample,) if busy_mb else (),
        capabilities=devices,
        engines=ENGINES,
        node=node,
    )
    telemetry = TelemetryRegistry(clock)
    telemetry.update_hive_state(beat)
    children = []
    if busy_mb:
        children = [SimpleNamespace(worker_id="w", model_id="v:other", pid=os.getpid())]
        worker = WorkerBeat(
            id="w",
            model_id="v:other",
            device="CPU-0",
            port=2,
            status="ready",
            implementation="mill",
            version=None,
            hive_id="h",
            url="http://x:2",
            slots_total=1,
            slots_available=1,
        )
        assert telemetry.beat_worker(worker)
    (seen,) = Views(telemetry, HeldIndex(), clock, lambda *_: None).hives(VARIANTS)
    settings = Settings()
    request = PlaceRequest(
        variants=VARIANTS, context_length=settings.worker.context_length, slots=settings.worker.slots
    )
    hers = choose(request, seen, estimates(request))

    class Empty:
        async def list(self) -> list[Any]:
            return []

    told = SimpleNamespace(capabilities=devices, engines=ENGINES)
    hive: Any = SimpleNamespace(hive_id="h", last_beat=beat, capabilities=lambda: told)
    supervisor: Any = SimpleNamespace(
        children=lambda: children, states=lambda: {one.worker_id: WorkerState.READY for one in children}
    )
    catalog: Any = Empty()
    assert await Choosing(hive, catalog, supervisor, settings).best(VARIANTS) == hers
