"""Which machines and devices will do, by what they are."""

from __future__ import annotations

import pytest
from rbee.builtin.policies import SeedPolicy
from rbee.contract import Backend, Device, DeviceType
from rbee.scheduler import HiveView, PlaceRequest, Refusal, Start, holds, place, selector
from unit.scheduler.test_place import CPU, GIB, engine, hive, variant

BIG = Device(id="GPU-0", name="NVIDIA GeForce RTX 4090", device_type=DeviceType.GPU, backend=Backend.CUDA, vram_gb=24.0)
SMALL = Device(id="GPU-1", name="Tesla T4", device_type=DeviceType.GPU, backend=Backend.CUDA, memory_bytes=16 * GIB)
BOX = HiveView(hive_id="Box", online=True, devices=(BIG, SMALL, CPU), labels={"room": "Attic"})


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("gpu=4090", "GPU-0"),
        ("GPU = rtx", "GPU-0"),
        ("gpu!=rtx", "GPU-1"),
        ("vram>=24", "GPU-0"),
        ("vram<=16", "GPU-1"),
        ("vram=16", "GPU-1"),
        ("backend=CUDA", "GPU-0"),
        ("device=cpu", "CPU-0"),
        ("device=gpu-1", "GPU-1"),
        ("room=attic", "GPU-0"),
        ("hive=box", "CPU-0"),
        ("owner!=lab", "CPU-0"),
    ],
)
def test_a_demand_holds_of_what_has_it(text: str, device: str) -> None:
    assert holds((selector(text),), BOX, device)


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("gpu=4090", "GPU-1"),
        ("gpu=cpu", "CPU-0"),
        ("vram>=1", "CPU-0"),
        ("vram!=24", "GPU-0"),
        ("cores>=1", "CPU-0"),
        ("room!=attic", "GPU-0"),
        ("room=cellar", "GPU-0"),
        ("owner=lab", "GPU-0"),
        ("gpu=4090", None),
        ("gpu=4090", "GPU-9"),
    ],
)
def test_it_does_not_hold_of_what_lacks_it_or_is_not_known(text: str, device: str | None) -> None:
    assert not holds((selector(text),), BOX, device)


def test_all_demands_have_to_hold_and_none_always_do() -> None:
    assert holds((), BOX, None)
    assert not holds((selector("gpu=4090"), selector("room=cellar")), BOX, "GPU-0")


@pytest.mark.parametrize(
    "text", ["", "gpu", "=4090", "gpu>4090", "a b=c", "gpu>=4090", "vram>=lots", "vram>=nan", "cores<=inf", "-x=1"]
)
def test_what_is_no_selector_is_refused_and_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no selector|compares numbers|is no number"):
        selector(text)


def placed(*where: str) -> Start | Refusal:
    box = hive(
        "box",
        devices=(BIG, SMALL, CPU),
        engines=(engine(backends=(Backend.CUDA, Backend.CPU)),),
        gpu_free_bytes={"GPU-0": 20 * GIB, "GPU-1": 12 * GIB},
        labels={"room": "attic"},
    )
    plain = hive("plain")
    request = PlaceRequest(variants=(variant(),), where=tuple(map(selector, where)))
    found = place(request, (), lambda: (box, plain), SeedPolicy())
    assert isinstance(found, Start | Refusal)
    return found


@pytest.mark.parametrize(
    ("where", "hive_id", "device"),
    [
        (("gpu=t4",), "box", "GPU-1"),
        (("device=cpu", "room=attic"), "box", "CPU-0"),
        (("hive=plain",), "plain", "CPU-0"),
        (("room!=attic",), "plain", "CPU-0"),
    ],
)
def test_a_worker_is_started_where_they_hold(where: tuple[str, ...], hive_id: str, device: str) -> None:
    found = placed(*where)
    assert isinstance(found, Start)
    assert (found.hive_id, found.device) == (hive_id, device)


def test_every_machine_says_what_it_lacks() -> None:
    found = placed("room=attic", "gpu=a100")
    assert isinstance(found, Refusal)
    told = {reason.subject: reason.text for reason in found.reasons}
    assert "no device with gpu=a100 there suits" in told["hive box"]
    assert told["hive plain"] == "it has no label 'room', and room=attic is asked for"
