"""What is looked into before it is fetched, and what is not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from rbee.builtin.policies import SeedPolicy
from rbee.catalog import Resolver
from rbee.contract import Backend, Device, DeviceType, EngineInfo
from rbee.contract.types import ModelVariant
from rbee.contract.wire import HeldModel, HiveHeartbeat, HiveInfo, NodeStats, utc_now
from rbee.queen.held import HeldIndex
from rbee.queen.looks import Looks
from rbee.queen.remote_figures import RemoteFigures
from rbee.queen.views import Views
from rbee.scheduler import PlaceRequest, Refusal, Start, estimate, place
from rbee.telemetry import TelemetryRegistry
from rbee.testing.hub import Hub
from rbee.testing.hub.gguf_sample import gguf_bytes
from unit.queen.remote import RemoteVendor


class World:
    """One hive with 100 MiB free, and a hub."""

    def __init__(self, hub: Hub, clock: Any) -> None:
        self.hub = hub
        self.vendor = RemoteVendor(hub)
        self.held = HeldIndex()
        self.telemetry = TelemetryRegistry(clock)
        self.views = Views(self.telemetry, self.held, clock, lambda *_: None)
        self.looks = Looks(self.views, RemoteFigures(Resolver([self.vendor]), clock=clock))
        self.said: list[str] = []
        engine = EngineInfo(
            name="e", version="1", formats=("gguf",), backends=(Backend.CPU,), capabilities=(), available=True
        )
        self.telemetry.update_hive_state(
            HiveHeartbeat(
                hive=HiveInfo(id="h", hostname="x", port=1, url="http://x:1", threads_free=2),
                timestamp=utc_now(),
                capabilities=(Device(id="CPU-0", name="p", device_type=DeviceType.CPU),),
                engines=(engine,),
                node=NodeStats(ram_used_mb=0, ram_total_mb=100),
            )
        )

    def put(self, name: str = "o/m", **more: Any) -> ModelVariant:
        return self.vendor.put(name, {"m.gguf": gguf_bytes(padding=1 << 20, **more)})

    def decide(self, request: PlaceRequest) -> Any:
        return place(request, (), lambda: self.views.hives(request.variants), SeedPolicy())


@pytest.fixture
def world(clock: Any) -> Iterator[World]:
    with Hub() as hub:
        yield World(hub, clock)


async def test_what_seems_to_fit_by_its_size_is_looked_into_before_it_is_fetched(world: World) -> None:
    request = PlaceRequest(variants=(world.put(),))
    assert isinstance(world.decide(request), Start), "a fifth above its size would fit"
    looked = await world.looks.into(request, world.said.append)
    decision = world.decide(looked)
    assert isinstance(decision, Refusal), "with its process and its cache it does not"
    assert "100 MiB are free" in decision.reasons[0].text
    assert world.said == ["Read the beginning of remote:o/m for its figures"]
    assert await world.looks.into(looked) is looked


async def test_what_is_there_was_read_by_its_hive(world: World) -> None:
    variant = world.put()
    world.held.put("h", [HeldModel(variant=variant, key="k")])
    request = PlaceRequest(variants=(variant,))
    assert await world.looks.into(request, world.said.append) is request
    assert (world.said, world.hub.ledger.sent("*m.gguf")) == ([], 0)


async def test_what_no_hive_would_take_is_only_looked_into_where_that_is_wanted(world: World) -> None:
    request = PlaceRequest(variants=(world.put(),), hive_id="elsewhere")
    assert await world.looks.into(request) is request
    (variant,) = (await world.looks.into(request, one_at_least=True)).variants
    assert not estimate(variant).rough


async def test_a_source_that_takes_too_long_leaves_the_rough_estimate(world: World, monkeypatch) -> None:
    request = PlaceRequest(variants=(world.put(),))
    gate = threading.Event()
    source = world.vendor.source

    def slowly(variant: Any, file: Any) -> Any:
        gate.wait(60)
        return source(variant, file)

    monkeypatch.setattr(world.vendor, "source", slowly)
    assert await world.looks.into(request, within_s=0.05) is request
    gate.set()
    # The look goes on meanwhile: the next one has it.
    assert await world.looks.into(request) is not request
    await asyncio.sleep(0)
