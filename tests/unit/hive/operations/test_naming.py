"""What a name means on a machine: what is here, else what the vendors have and suits it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rbee.contract import Device, DeviceType, EngineInfo, ModelVariant
from rbee.contract.errors import ConflictError, NotFoundError, UnreachableError
from rbee.contract.wire import GpuStats, HiveHeartbeat, HiveInfo, NodeStats, utc_now
from unit.conftest import ShelfVendor

GPU = Device(id="GPU-0", name="a card", device_type=DeviceType.GPU, backend="cuda")
MIB = 2**20


class Rack(ShelfVendor):
    """Models of several variants: ``r`` stands for all that begin with ``r-``."""

    away = False

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        if self.away:
            raise UnreachableError("the rack does not answer")
        self.resolved.append(ref)
        name = ref.removeprefix("shelf:")
        return tuple(one for key, one in self.variants.items() if name == key or key.startswith(f"{name}-"))

    def put_all(self, ref: str, size_bytes: int, formats: dict[str, str], name: str | None = None) -> None:
        """Offer variants in that order, each half as large as the one before."""
        for word, model_format in formats.items():
            made = self.put(f"{ref}-{word}", {"m.blob": bytes(size_bytes)}, model_format=model_format)
            self.variants[f"{ref}-{word}"] = msgspec.structs.replace(made, name=name or made.name, quantization=word)
            size_bytes //= 2


@pytest.fixture
def shelf() -> Rack:
    return Rack()


def measured(hive: Any, *, ram_mb: int, vram_mb: int | None = None) -> None:
    """The hive has so much memory, all of it free."""
    cards = () if vram_mb is None else (GpuStats(id="GPU-0", vram_used_mb=0, vram_total_mb=vram_mb),)
    hive.hive.last_beat = HiveHeartbeat(
        hive=HiveInfo(id="h", hostname="x", port=1),
        timestamp=utc_now(),
        node=NodeStats(ram_used_mb=0, ram_total_mb=ram_mb, gpus=cards),
    )


def engine(name: str, model_format: str, *, available: bool = True, **preference: int) -> EngineInfo:
    return EngineInfo(
        name=name,
        version="1",
        formats=(model_format,),
        backends=tuple(preference),
        capabilities=(),
        available=available,
        reason=None if available else f"{name} is broken",
        preference=preference,
    )


async def pulled(hive: Any, ref: str = "r") -> str:
    return str((await hive.do("model_download", model=ref)).model_id)


async def test_a_pull_brings_the_vendors_first_that_fits_the_memory(hive: Any, shelf: Rack) -> None:
    shelf.put_all("r", 4 * MIB, {"Q8": "blob", "Q4": "blob", "Q2": "blob"})
    measured(hive, ram_mb=3)
    assert await pulled(hive) == "shelf:r-Q4"
    assert any("r is shelf:r-Q4: Q4 (blob) is the vendor's first that fits CPU-0" in line for line in hive.said)
    measured(hive, ram_mb=100)
    assert await pulled(hive, "shelf:r-Q8") == "shelf:r-Q8"


async def test_a_pull_keeps_to_what_is_here_where_that_fits(hive: Any, shelf: Rack) -> None:
    shelf.put_all("r", 4 * MIB, {"Q8": "blob", "Q4": "blob"})
    measured(hive, ram_mb=100)
    await pulled(hive, "r-Q4")
    assert await pulled(hive) == "shelf:r-Q4"
    assert shelf.fetches == 1


async def test_a_pull_goes_by_the_engine_that_suits_the_card_best(hive: Any, shelf: Rack) -> None:
    shelf.put_all("r", MIB, {"general": "blob", "card": "exl"})
    hive.found.capabilities = (*hive.found.capabilities, GPU)
    hive.found.engines = (engine("mill", "blob", cpu=20, cuda=10), engine("cards", "exl", cuda=30))
    measured(hive, ram_mb=100, vram_mb=100)
    assert await pulled(hive) == "shelf:r-card"
    await hive.do("model_delete", model="r-card")
    measured(hive, ram_mb=100, vram_mb=0)
    assert await pulled(hive) == "shelf:r-general"


async def test_what_does_not_fit_is_pulled_all_the_same_and_said_not_to(hive: Any, shelf: Rack) -> None:
    shelf.put_all("r", 4 * MIB, {"Q8": "blob", "Q4": "blob"})
    measured(hive, ram_mb=1)
    assert await pulled(hive) == "shelf:r-Q4"
    assert any(
        "r-Q4 does not fit CPU-0: Q4 (blob) needs about 2.4 MiB and 1.0 MiB are free" in one for one in hive.said
    )


async def test_a_machine_without_an_engine_pulls_the_vendors_first(hive: Any, shelf: Rack) -> None:
    shelf.put_all("r", MIB, {"a": "exl", "b": "other"})
    assert await pulled(hive) == "shelf:r-a"
    assert any(
        "r-a cannot be run here yet: no engine there opens the formats 'exl', 'other'" in one for one in hive.said
    )


async def test_a_worker_gets_the_variant_that_its_device_and_engine_can_take(hive: Any, shelf: Rack) -> None:
    shelf.put_all("r", MIB, {"card": "exl", "general": "blob"})
    hive.found.capabilities = (*hive.found.capabilities, GPU)
    hive.found.engines = (
        engine("old", "blob", cpu=1),
        engine("mill", "blob", cpu=20, cuda=10),
        engine("cards", "exl", cuda=30),
    )
    measured(hive, ram_mb=100, vram_mb=100)
    for wanted, started, device in (
        ({}, ("mill", "shelf:r-general"), "CPU-0"),
        ({"worker": "old"}, ("old", "shelf:r-general"), "CPU-0"),
        ({"device": "GPU-0"}, ("cards", "shelf:r-card"), "GPU-0"),
        ({"worker": "cards"}, ("cards", "shelf:r-card"), "GPU-0"),
        ({"worker": "mill", "device": 0}, ("mill", "shelf:r-general"), "GPU-0"),
    ):
        hive.children.all.clear()
        hive.children.started.clear()
        spawned = await hive.do("worker_spawn", model="r", **wanted)
        assert (hive.children.started, spawned.device) == ([started], device), wanted


async def test_what_is_here_starts_when_no_vendor_answers(hive: Any, shelf: Rack) -> None:
    shelf.put_all("r", 4 * MIB, {"Q8": "blob", "Q4": "blob"}, name="both")
    for word in ("Q8", "Q4"):
        await pulled(hive, f"r-{word}")
    shelf.away = True
    measured(hive, ram_mb=3)
    # Two are called so: the one that fits.
    await hive.do("worker_spawn", model="both")
    assert hive.children.started == [("mill", "shelf:r-Q4")]
    with pytest.raises(UnreachableError):
        await hive.do("worker_spawn", model="other")
    with pytest.raises(UnreachableError):
        await hive.do("model_download", model="both")


async def test_a_name_that_may_mean_several_models_here_is_refused_with_their_names(hive: Any, shelf: Rack) -> None:
    shelf.put_all("r", MIB, {"Q8": "blob", "Q4": "blob"}, name="both")
    for word in ("Q8", "Q4"):
        await pulled(hive, f"r-{word}")
    for operation in ("model_delete", "model_get", "model_verify"):
        for name in ("both", "r"):
            with pytest.raises(ConflictError, match=r"'shelf:r-Q\d', 'shelf:r-Q\d'\. Name one"):
                await hive.do(operation, model=name)
    assert len((await hive.do("model_list")).models) == 2
    assert (await hive.do("model_delete", model="shelf:r-Q8")).deleted
    # The only one that is left may be meant by what is less exact.
    assert (await hive.do("model_delete", model="r")).model_id == "shelf:r-Q4"


async def test_unloading_takes_no_pick_among_several(hive: Any, shelf: Rack) -> None:
    shelf.put_all("r", MIB, {"Q8": "blob", "Q4": "blob"})
    hive.children.put("w1", "shelf:r-Q8")
    hive.children.put("w2", "shelf:r-Q4")
    with pytest.raises(ConflictError, match="several models of hive 'h'"):
        await hive.do("model_unload", model="r")
    assert hive.children.stopped == []
    assert (await hive.do("model_unload", model="shelf:r-Q8")).stopped == ("w1",)
    assert (await hive.do("model_unload", model="r")).stopped == ("w2",)


async def test_a_model_is_deleted_by_a_less_exact_name_while_its_vendor_is_away(hive: Any, shelf: Rack) -> None:
    made = shelf.put("r", {"m.blob": b"abc"})
    shelf.variants["r"] = msgspec.structs.replace(made, model_id="shelf:r:Q8_0", name="long")
    shelf.contents["shelf:r:Q8_0"] = shelf.contents["shelf:r"]
    await pulled(hive)
    shelf.away = True
    with pytest.raises(UnreachableError):
        await hive.do("model_delete", model="x")
    assert (await hive.do("model_delete", model="r")).model_id == "shelf:r:Q8_0"


async def test_a_damaged_model_is_mended_by_the_next_pull(hive: Any, shelf: Rack) -> None:
    shelf.put("m", {"m.blob": b"abc"})
    path = Path((await hive.do("model_download", model="m")).path)
    # As many bytes as before.
    path.write_bytes(b"xyz")
    verified = await hive.do("model_verify", model="m")
    assert (verified.intact, verified.files[0].status) == (False, "changed")
    assert (await hive.do("model_get", model="m")).state == "failed"
    mended = await hive.do("model_download", model="m")
    assert (mended.already, Path(mended.path).read_bytes()) == (False, b"abc")
    assert (await hive.do("model_verify", model="m")).intact


async def test_what_is_not_here_is_not_found_by_any_name(hive: Any, shelf: Rack) -> None:
    shelf.put_all("r", MIB, {"Q8": "blob", "Q4": "blob"})
    for name in ("r", "shelf:r-Q8"):
        with pytest.raises(NotFoundError):
            await hive.do("model_delete", model=name)
