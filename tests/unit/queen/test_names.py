"""What names mean: aliases, disks, workers, vendors, in this order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from rbee.catalog import Resolver
from rbee.contract import ModelVariant
from rbee.contract.errors import InvalidRequestError, ModelNotFoundError, PermissionDeniedError, UnreachableError
from rbee.contract.figures import ModelFigures
from rbee.contract.wire import HeldModel, Registration
from rbee.queen.held import HeldIndex
from rbee.queen.names import ModelNames, Resolved
from rbee.telemetry import TelemetryRegistry


class Aliases:
    def __init__(self, **targets: str) -> None:
        self.targets = targets

    def target(self, name: str) -> str | None:
        return self.targets.get(name)


class World:
    """Names over a shelf, telemetry and disks."""

    def __init__(self, shelf: Any, clock: Any, *vendors: Any, **aliases: str) -> None:
        self.telemetry = TelemetryRegistry(clock)
        self.held = HeldIndex()
        resolver = Resolver([*vendors, shelf], clock=clock)
        self.names = ModelNames(resolver, self.telemetry, clock, self.held, Aliases(**aliases))

    def lies(self, *variants: ModelVariant, hive: str = "h", figures: ModelFigures | None = None) -> None:
        self.held.put(hive, [HeldModel(variant=variant, key="k", figures=figures) for variant in variants])

    async def ids(self, name: str, *, trusted: bool = True) -> tuple[str, ...]:
        return (await self.names.resolve(name, trusted=trusted)).model_ids


@pytest.fixture
def world(shelf, clock) -> World:
    return World(shelf, clock)


@pytest.fixture
def anything(shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(shelf), "names_anything", True)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


def hub(name: str, **more: Any) -> ModelVariant:
    return ModelVariant(model_id=f"hf:{name}", name=name, vendor="hub", format="gguf", **more)


async def test_a_vendor_is_asked_once_a_minute(world, shelf, clock) -> None:
    variant = shelf.put("m", {})
    for _ in range(3):
        assert (await world.names.resolve("m", trusted=True)).variants == (variant,)
    clock.tick(59.9)
    await world.names.resolve("m", trusted=True)
    assert shelf.resolved == ["m"]
    assert await world.names.known() == [variant]


async def test_an_old_answer_is_given_while_it_is_renewed(world, shelf, clock) -> None:
    older = shelf.put("m", {})
    await world.names.resolve("m", trusted=True)
    newer = shelf.put("m", {"a": b"a"})
    clock.tick(60)
    assert (await world.names.resolve("m", trusted=True)).variants == (older,)
    await until(lambda: len(shelf.resolved) == 2)
    await asyncio.sleep(0.05)
    assert (await world.names.resolve("m", trusted=True)).variants == (newer,)
    assert shelf.resolved == ["m", "m"]


async def test_an_unknown_name_is_asked_for_once_in_a_while(world, shelf, clock) -> None:
    for _ in range(3):
        with pytest.raises(ModelNotFoundError):
            await world.names.resolve("m", trusted=True)
    assert shelf.resolved == ["m"]
    shelf.put("m", {})
    clock.tick(10)
    assert await world.ids("m") == ("shelf:m",)


async def test_a_hub_that_is_down_is_asked_once_for_all_who_want_the_same(world, shelf, clock, monkeypatch) -> None:
    monkeypatch.setattr(type(shelf), "supports", lambda self, ref: True)

    def down(self: Any, ref: str) -> Any:
        self.resolved.append(ref)
        time.sleep(0.05)
        raise UnreachableError("the line is cut")

    monkeypatch.setattr(type(shelf), "resolve", down)
    for _ in range(2):
        found = await asyncio.gather(*(world.ids("o/m") for _ in range(12)), return_exceptions=True)
        assert {str(error) for error in found} == {"the line is cut"}
    assert shelf.resolved == ["o/m"]
    clock.tick(10)
    with pytest.raises(UnreachableError):
        await world.ids("o/m")
    assert shelf.resolved == ["o/m", "o/m"]


async def test_what_is_here_under_a_more_exact_name_takes_no_vendors_word(world, shelf, monkeypatch) -> None:
    monkeypatch.setattr(type(shelf), "supports", lambda self, ref: True)
    shelf.put("o/m", {})
    world.lies(hub("o/m:Q4_K_M"))
    world.telemetry.register_worker(Registration(worker_id="w", url="http://a:1", model="hf:o/m:Q8_0"))
    world.telemetry.register_worker(Registration(worker_id="v", url="http://a:2", model="hf:o/m:Q4_K_M"))
    for _ in range(2):
        found = await world.names.resolve("o/m", trusted=True)
        assert (found.model_ids, found.whole) == (("hf:o/m:Q4_K_M", "hf:o/m:Q8_0"), False)
    assert [variant.format for variant in found.variants] == ["gguf", "unknown"]
    assert shelf.resolved == []
    # Where that will not do, the vendors may have more.
    wider = await world.names.widen(found)
    assert (wider.model_ids, wider.whole) == (("shelf:o/m", "hf:o/m:Q4_K_M", "hf:o/m:Q8_0"), True)
    world.telemetry.remove_worker("w")
    assert await world.ids("o/m") == ("hf:o/m:Q4_K_M",)


async def test_a_meaning_is_put_together_once_until_a_disk_changes(world, shelf) -> None:
    shelf.put("m", {})
    first = await world.names.resolve("m", trusted=True)
    assert await world.names.resolve("m", trusted=True) is first
    world.lies(hub("o/m:Q4_0"))
    assert await world.names.resolve("m", trusted=True) is not first
    near = await world.names.resolve("o/m", trusted=True)
    assert await world.names.resolve("o/m", trusted=True) is near


async def test_all_variants_are_told_best_first(world, shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    several = (hub("o/m:Q8_0"), hub("o/m:Q4_0"))
    monkeypatch.setattr(type(shelf), "resolve", lambda self, ref: several)
    found = await world.names.resolve("m", trusted=True)
    assert (found.variants, found.model_ids, found.whole) == (several, ("hf:o/m:Q8_0", "hf:o/m:Q4_0"), True)
    assert await world.names.widen(found) is None


async def test_a_model_that_only_a_worker_knows_can_be_routed_to(world) -> None:
    world.telemetry.register_worker(Registration(worker_id="w", url="http://a:1", model="theirs"))
    found = await world.names.resolve("theirs", trusted=True)
    assert (found.model_ids, found.variants[0].format, found.whole) == (("theirs",), "unknown", False)


async def test_what_lies_on_a_disk_takes_no_vendors_word(world, shelf) -> None:
    shelf.put("m", {})
    lying = hub("o/m:Q4_0")
    world.lies(lying)
    for name in ("o/m:Q4_0", "hf:o/m:Q4_0"):
        found = await world.names.resolve(name, trusted=True)
        assert (found.variants, found.whole) == ((lying,), False)
    assert shelf.resolved == []
    with pytest.raises(ModelNotFoundError):
        await world.names.resolve("o/M:Q4_0", trusted=True)
    world.held.discard("h")
    with pytest.raises(ModelNotFoundError):
        await world.names.resolve("o/m:Q4_0", trusted=True)


async def test_a_disk_that_changes_is_seen_at_once(world) -> None:
    world.lies(hub("o/m:Q4_0", revision="1"))
    await world.names.resolve("o/m:Q4_0", trusted=True)
    newer = hub("o/m:Q4_0", revision="2")
    world.lies(newer)
    assert (await world.names.resolve("o/m:Q4_0", trusted=True)).variants == (newer,)


async def test_a_vendor_of_files_is_not_asked_for_a_stranger(world, shelf, monkeypatch) -> None:
    monkeypatch.setattr(type(shelf), "names_files", True)
    shelf.put("m", {})
    with pytest.raises(PermissionDeniedError, match="token"):
        await world.names.resolve("m", trusted=False)
    assert shelf.resolved == []
    assert await world.ids("m") == ("shelf:m",)
    with pytest.raises(PermissionDeniedError):
        await world.names.resolve("m", trusted=False)
    world.telemetry.register_worker(Registration(worker_id="w", url="http://a:1", model="m"))
    assert await world.ids("m", trusted=False) == ("m",)


@pytest.mark.usefixtures("anything")
async def test_a_stranger_may_use_what_is_in_the_colony_and_have_nothing_fetched(world, shelf) -> None:
    variant = shelf.put("m", {})
    with pytest.raises(ModelNotFoundError, match="rbee pull m"):
        await world.names.resolve("m", trusted=False)
    assert shelf.resolved == []
    world.lies(variant)
    found = await world.names.resolve("m", trusted=False)
    assert found.variants == (variant,)
    assert await world.names.widen(found) is None
    assert shelf.resolved == []


@pytest.mark.usefixtures("anything")
async def test_an_alias_is_the_operators_word_and_may_be_used_by_anybody(shelf, clock) -> None:
    world = World(shelf, clock, best="m")
    shelf.put("m", {})
    found = await world.names.resolve("best", trusted=False)
    assert (found.name, found.model_ids, found.trusted) == ("m", ("shelf:m",), True)
    with pytest.raises(ModelNotFoundError):
        await world.names.resolve("m", trusted=False)


async def test_an_alias_comes_before_a_model_that_is_called_so(shelf, clock) -> None:
    world = World(shelf, clock, m="other")
    shelf.put("m", {})
    other = shelf.put("other", {})
    world.lies(shelf.put("m", {}))
    assert (await world.names.resolve("m", trusted=True)).variants == (other,)


async def test_what_lies_here_is_widened_by_what_the_vendors_have(world, shelf, monkeypatch) -> None:
    lying = hub("o/m:Q4_0")
    world.lies(lying)
    found = await world.names.resolve("o/m:Q4_0", trusted=True)
    monkeypatch.setattr(type(shelf), "supports", lambda self, ref: True)
    monkeypatch.setattr(type(shelf), "resolve", lambda self, ref: (hub("o/m:Q8_0"),))
    wider = await world.names.widen(found)
    assert isinstance(wider, Resolved)
    assert (wider.model_ids, wider.whole) == (("hf:o/m:Q8_0", "hf:o/m:Q4_0"), True)


async def test_vendors_who_have_nothing_more_are_not_asked_with_every_request(world, shelf, clock) -> None:
    world.lies(shelf.put("m", {}))
    del shelf.variants["m"]
    found = await world.names.resolve("m", trusted=True)
    for _ in range(3):
        assert await world.names.widen(found) is None
    assert shelf.resolved == ["m"]
    clock.tick(10)
    await world.names.widen(found)
    assert shelf.resolved == ["m", "m"]


@pytest.mark.usefixtures("anything")
async def test_where_no_vendor_answers_a_repository_means_what_lies_here_of_it(world, shelf, monkeypatch) -> None:
    monkeypatch.setattr(type(shelf), "supports", lambda self, ref: True)

    def down(self: Any, ref: str) -> Any:
        raise UnreachableError("the line is cut")

    monkeypatch.setattr(type(shelf), "resolve", down)
    world.lies(hub("o/m:Q4_0"), hub("o/m:Q8_0"), hub("o/other:Q8_0"), hub("o/m@v1:Q8_0"))
    for trusted in (True, False):
        assert await world.ids("o/m", trusted=trusted) == ("hf:o/m:Q4_0", "hf:o/m:Q8_0")
    assert await world.ids("o/m:q8_0") == ("hf:o/m:Q8_0",)
    with pytest.raises(UnreachableError, match="the line is cut"):
        await world.names.resolve("o/m:Q2_K", trusted=True)
    with pytest.raises(ModelNotFoundError):
        await world.names.resolve("o/m:Q2_K", trusted=False)


async def test_what_nobody_could_mean_is_said_to_be_so(world) -> None:
    with pytest.raises(InvalidRequestError, match="org/repo"):
        await world.names.resolve("a/b/c/d", trusted=True)


async def test_figures_that_a_hive_has_read_serve_every_variant(world, shelf, monkeypatch) -> None:
    several = (hub("o/m:Q8_0", figures=ModelFigures(context_length=1)), hub("o/m:Q4_0"))
    monkeypatch.setattr(type(shelf), "resolve", lambda self, ref: several)
    world.lies(hub("o/m:Q4_0"), figures=ModelFigures(layers=7, weights_bytes=9))
    first, second = (await world.names.resolve("m", trusted=True)).variants
    assert first.figures == ModelFigures(context_length=1, layers=7)
    assert second.figures == ModelFigures(context_length=1, layers=7, weights_bytes=9)
    assert msgspec.structs.replace(first, figures=None) == msgspec.structs.replace(several[0], figures=None)
