"""What each machine would take, told before anything is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from rbee.catalog import Resolver
from rbee.contract import Backend, Capability, Device, DeviceType, EngineInfo
from rbee.contract.errors import ModelNotFoundError
from rbee.contract.figures import ModelFigures
from rbee.contract.wire import (
    GpuStats,
    HeldModel,
    HiveHeartbeat,
    HiveInfo,
    LearnedMemory,
    ModelPlan,
    NodeStats,
    Planned,
    PlanRow,
    WorkerBeat,
    utc_now,
)
from rbee.queen.held import HeldIndex
from rbee.queen.looks import Looks
from rbee.queen.names import ModelNames
from rbee.queen.plans import Plans
from rbee.queen.remote_figures import RemoteFigures
from rbee.queen.views import Views
from rbee.scheduler import Sight, blank, estimate, learn
from rbee.settings.model import Settings, WorkerSettings
from rbee.telemetry import TelemetryRegistry
from rbee.testing.hub import Hub
from rbee.testing.hub.gguf_sample import gguf_bytes
from unit.queen.remote import RemoteVendor

CPU = Device(id="CPU-0", name="a processor", device_type=DeviceType.CPU)
CARD = Device(id="GPU-0", name="a card", device_type=DeviceType.GPU, backend=Backend.CUDA)


def engine(name: str, model_format: str, **preference: int) -> EngineInfo:
    return EngineInfo(
        name=name,
        version="1",
        formats=(model_format,),
        backends=tuple(preference),
        capabilities=(Capability.CHAT,),
        available=True,
        preference=preference,
    )


class Colony:
    """A box with a card and a small server, before plans over real lines."""

    def __init__(self, clock: Any, vendor: RemoteVendor, worker: WorkerSettings) -> None:
        self.telemetry = TelemetryRegistry(clock)
        self.held = HeldIndex()
        self.vendor = vendor
        self.said: list[str] = []
        resolver = Resolver([vendor])
        names = ModelNames(resolver, self.telemetry, clock, self.held)
        self.learned: tuple[LearnedMemory, ...] = ()
        views = Views(self.telemetry, self.held, clock, lambda *_: None, learned=lambda *_: self.learned)
        looks = Looks(views, RemoteFigures(resolver))
        self.plans = Plans(self.telemetry, names, views, looks, Settings(worker=worker))
        self.beat("box", (CPU, CARD), (engine("cards", "exl2", cuda=30), engine("general", "gguf", cuda=10, cpu=20)))
        self.beat("server", (CPU,), (engine("general", "gguf", cpu=20),))

    def beat(
        self, hive_id: str, devices: tuple[Device, ...], engines: tuple[EngineInfo, ...], disk: int | None = None
    ) -> None:
        card = GpuStats(id="GPU-0", vram_used_mb=0, vram_total_mb=8192)
        node = NodeStats(ram_used_mb=0, ram_total_mb=4096, gpus=(card,) if CARD in devices else ())
        info = HiveInfo(id=hive_id, hostname="x", port=1, url="http://x:1", threads_free=2, models_free_bytes=disk)
        self.telemetry.update_hive_state(
            HiveHeartbeat(hive=info, timestamp=utc_now(), capabilities=devices, engines=engines, node=node)
        )

    async def plan(self, hive_id: str | None = None, model: str = "o/m", **wanted: Any) -> Planned:
        return await self.plans.plan(ModelPlan(model=model, **wanted), hive_id, self.said.append)

    async def rows(self, **wanted: Any) -> dict[str, PlanRow]:
        return {row.hive_id: row for row in (await self.plan(**wanted)).hives}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as running:
        yield running


@pytest.fixture
def colony(hub: Hub, clock: Any) -> Colony:
    vendor = RemoteVendor(hub)
    vendor.put("o/gguf-Q8", {"m.gguf": gguf_bytes(layers=3, context_length=4096)}, quantization="Q8_0")
    vendor.put("o/exl", {"model.safetensors": b"x" * 1000}, "exl2", quantization="4.0BPW")
    return Colony(clock, vendor, WorkerSettings(slots=2))


async def test_every_hive_gets_a_row_with_its_own_artefact(colony) -> None:
    plan = await colony.plan()
    assert (plan.model, [variant.format for variant in plan.variants]) == ("o/m", ["gguf", "exl2"])
    assert [row.hive_id for row in plan.hives] == ["box", "server"]
    box, server = plan.hives
    assert (box.chosen.format, box.engine, box.device, box.file) == ("exl2", "cards", "GPU-0", "model.safetensors")
    assert (server.chosen.format, server.engine, server.device, server.file) == ("gguf", "general", "CPU-0", "m.gguf")
    for row, free in ((box, 8192), (server, 4096)):
        assert (row.free_bytes, row.fits, row.present) == (free * 2**20, True, False)
        assert row.reasons


async def test_figures_that_nobody_knows_are_read_at_the_source_for_the_estimate(colony, hub) -> None:
    row = (await colony.rows())["server"]
    # Layers x heads with keys and values x (16 + 16) x 2 bytes x tokens x slots.
    assert row.cache_bytes == 3 * 2 * (16 + 16) * 2 * 4096 * 2
    assert row.weights_bytes == row.chosen.figures.weights_bytes
    assert row.memory_bytes == row.weights_bytes + row.cache_bytes + row.overhead_bytes
    assert (row.context_length, row.slots) == (4096, 2)
    assert "Read the beginning of remote:o/gguf-Q8 for its figures" in colony.said
    box = (await colony.rows())["box"]
    assert (box.cache_bytes, box.weights_bytes) == (row.cache_bytes, 1000), "what is known of one variant serves others"
    assert hub.ledger.sent("*.safetensors") == 0


async def test_what_a_disk_has_no_room_for_does_not_fit(colony) -> None:
    server = (await colony.rows())["server"]
    size = server.size_bytes
    assert (server.disk_needed_bytes, server.disk_free_bytes, server.fits) == (size, None, True)
    for free, fits in ((size, True), (size - 1, False)):
        colony.beat("server", (CPU,), (engine("general", "gguf", cpu=20),), free)
        server = (await colony.rows())["server"]
        assert (server.disk_needed_bytes, server.disk_free_bytes, server.fits) == (size, free, fits)
        assert any("its disk has" in one for one in server.reasons) is not fits
    colony.held.put("server", [HeldModel(variant=colony.vendor.variants[0], key="k")])
    server = (await colony.rows())["server"]
    assert (server.present, server.disk_needed_bytes, server.fits) == (True, 0, True)


async def test_context_and_slots_are_the_requests_before_the_settings(colony) -> None:
    row = (await colony.rows(context_length=1024, slots=3))["server"]
    assert (row.context_length, row.slots) == (1024, 3)


async def test_one_hive_can_be_planned_for_alone(colony) -> None:
    assert [row.hive_id for row in (await colony.plan("server")).hives] == ["server"]


async def test_what_lies_on_a_disk_is_marked_and_its_figures_are_taken(colony, hub) -> None:
    variant = colony.vendor.variants[0]
    figures = ModelFigures(layers=1, heads=1, embedding_length=8, weights_bytes=77)
    colony.held.put("server", [HeldModel(variant=variant, key="k", figures=figures)])
    row = (await colony.rows())["server"]
    assert (row.present, row.weights_bytes, row.context_length) == (True, 77, 8192)
    assert hub.ledger.sent("*.gguf") == 0
    assert colony.said == []


async def test_a_plan_by_a_name_that_lies_here_tells_what_else_there_is(colony) -> None:
    mine = msgspec.structs.replace(colony.vendor.variants[0], name="o/m", model_id="remote:mine")
    colony.held.put("server", [HeldModel(variant=mine, key="k")])
    plan = await colony.plan()
    assert [variant.model_id for variant in plan.variants] == ["remote:o/gguf-Q8", "remote:o/exl", "remote:mine"]
    assert {row.hive_id: row.present for row in plan.hives} == {"box": False, "server": True}


async def test_a_source_that_does_not_answer_leaves_a_rough_estimate(colony, hub) -> None:
    hub.add("o/gguf-Q8", {"m.gguf": None})
    row = (await colony.rows())["server"]
    size = colony.vendor.variants[0].size_bytes
    assert (row.memory_bytes, row.cache_bytes, row.fits) == (int(size * 1.2), None, True)
    assert any("rough estimate" in sentence for sentence in colony.said)


async def test_a_hive_that_can_take_none_says_why(colony, clock) -> None:
    clock.tick(11)
    rows = await colony.rows()
    assert {row.reasons for row in rows.values()} == {("it is down",)}
    assert {row.chosen for row in rows.values()} == {None}


async def test_what_does_not_fit_is_told_with_its_numbers(colony) -> None:
    row = (await colony.rows(context_length=4096, slots=1024))["server"]
    assert row.fits is True
    colony.vendor.variants = tuple(
        msgspec.structs.replace(one, figures=ModelFigures(layers=64, heads=64, embedding_length=8192, weights_bytes=9))
        for one in colony.vendor.variants
    )
    rows = await colony.rows(model="o/n", slots=64)
    assert {row.fits for row in rows.values()} == {False}
    assert "are free on CPU-0" in rows["server"].reasons[0]


async def test_a_worker_that_serves_it_already_is_named(colony) -> None:
    beat = WorkerBeat(
        id="w", model_id="remote:o/exl", device="GPU-0", port=1, status="ready", implementation="e", version=None,
        hive_id="box",
    )  # fmt: skip
    colony.telemetry.beat_worker(beat)
    rows = await colony.rows()
    assert rows["box"].reasons[0] == "w serves remote:o/exl there already"
    assert "w serves" not in rows["server"].reasons[0]


async def test_a_plan_for_what_nobody_knows_says_so(colony) -> None:
    with pytest.raises(ModelNotFoundError, match="none/m"):
        await colony.plan(model="none/m")


async def test_what_was_learned_is_in_the_plan_with_the_last_peak_and_the_error(colony, clock) -> None:
    plain = (await colony.rows())["server"]
    assert (plain.estimate_bytes, plain.reserve_bytes, plain.peak_bytes) == (plain.memory_bytes, None, None)
    need = estimate(plain.chosen, 4096, 2)
    peak = need.total_bytes + 100 * 2**20
    identity = blank(plain.chosen.model_id, "general", "cpu", "server", utc_now(), context_length=4096, slots=2)
    seen = learn(None, identity, Sight(estimate=need, peak_bytes=peak), over=False)
    colony.learned = (seen,)
    row = (await colony.rows())["server"]
    assert (row.memory_bytes, row.estimate_bytes, row.reserve_bytes) == (peak, plain.memory_bytes, 100 * 2**20)
    assert (row.peak_bytes, row.peak_hive_id, row.peak_context_length, row.peak_slots) == (peak, "server", 4096, 2)
    assert row.error_pct == pytest.approx(-100 * 100 * 2**20 / peak, abs=0.1)
    assert "as it did here before, and 4096 MiB are free" in row.reasons[-1]
    row = (await colony.rows())["box"]
    assert row.reserve_bytes is None, "another engine"
