"""One name, the best artefact for each machine: a box with a card, a Mac and a server, made of values."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from rbee.contract import Backend, Capability, Device, DeviceType, EngineInfo, ModelFile, ModelVariant
from rbee.scheduler import (
    Choice,
    Failure,
    HiveView,
    IdleWorker,
    PlaceRequest,
    Start,
    Unsuitable,
    choose,
    estimates,
    place,
)

GIB = 2**30


def variant(name: str, gib: float, model_format: str = "gguf", **more: Any) -> ModelVariant:
    """One that needs so many GiB, by the rough estimate."""
    files = (ModelFile(name=f"{name}.bin", size_bytes=-int(-gib * GIB // 1.2)),)
    return ModelVariant(
        model_id=f"v:m:{name}",
        name=f"m:{name}",
        vendor="v",
        format=model_format,
        files=files,
        quantization=name,
        **more,
    )


def engine(name: str, formats: str, **preference: int) -> EngineInfo:
    return EngineInfo(
        name=name,
        version="1",
        formats=tuple(formats.split()),
        backends=tuple(preference),
        capabilities=(Capability.CHAT,),
        available=True,
        preference={backend: rank for backend, rank in preference.items() if rank},
    )


GENERAL = engine("general", "gguf", cuda=10, metal=10, cpu=20, rocm=10)
CARDS = engine("cards", "exl2", cuda=30)
APPLES = engine("apples", "apple", metal=30, cpu=5)
MAKESHIFT = engine("makeshift", "safetensors", cuda=-10, cpu=-10)

CARD = Device(id="GPU-0", name="a card", device_type=DeviceType.GPU, backend=Backend.CUDA)
APPLE = Device(id="GPU-0", name="a chip", device_type=DeviceType.GPU, backend=Backend.METAL)
CPU = Device(id="CPU-0", name="a processor", device_type=DeviceType.CPU, backend=Backend.CPU)

BOX = HiveView(
    hive_id="box",
    online=True,
    devices=(CPU, CARD),
    engines=(GENERAL, MAKESHIFT, CARDS),
    threads_free=8,
    ram_free_bytes=64 * GIB,
    gpu_free_bytes={"GPU-0": 24 * GIB},
)
MAC = HiveView(
    hive_id="mac",
    online=True,
    devices=(CPU, APPLE),
    engines=(APPLES, GENERAL),
    threads_free=8,
    ram_free_bytes=10 * GIB,
    gpu_free_bytes={"GPU-0": 10 * GIB},
)
SERVER = HiveView(
    hive_id="server",
    online=True,
    devices=(CPU,),
    engines=(MAKESHIFT, GENERAL),
    threads_free=64,
    ram_free_bytes=7 * GIB,
)

# As a vendor lists them, best first; no machine opens the last.
VARIANTS = (
    variant("Q8_0", 9),
    variant("Q5_K_M", 6),
    variant("Q4_K_M", 5),
    variant("F16", 16, "safetensors"),
    variant("6.0bpw", 7, "exl2"),
    variant("4.0bpw", 5, "exl2"),
    variant("4BIT", 5, "apple"),
    variant("W4", 5, "onnx"),
)
WANTED = PlaceRequest(variants=VARIANTS)


def chosen(hive: HiveView, request: PlaceRequest = WANTED) -> Choice:
    found = choose(request, hive, estimates(request))
    assert isinstance(found, Choice), found
    return found


def unsuitable(hive: HiveView, request: PlaceRequest = WANTED) -> Unsuitable:
    found = choose(request, hive, estimates(request))
    assert isinstance(found, Unsuitable), found
    return found


def changed(hive: HiveView, **more: Any) -> HiveView:
    return msgspec.structs.replace(hive, **more)


def told(choice: Choice) -> tuple[Any, ...]:
    return choice.variant.quantization, choice.engine.name, choice.device.id, choice.fits, choice.present


@pytest.mark.parametrize(
    ("hive", "expected"),
    [
        (BOX, ("6.0bpw", "cards", "GPU-0", True, False)),
        (MAC, ("4BIT", "apples", "GPU-0", True, False)),
        (SERVER, ("Q5_K_M", "general", "CPU-0", True, False)),
    ],
    ids=["box", "mac", "server"],
)
def test_each_machine_of_a_mixed_colony_takes_what_suits_it(hive: HiveView, expected: tuple[Any, ...]) -> None:
    assert told(chosen(hive)) == expected


def test_of_several_gpus_the_one_with_the_most_free_memory_is_taken() -> None:
    second, third = (msgspec.structs.replace(CARD, id=name) for name in ("GPU-1", "GPU-2"))
    several = changed(BOX, devices=(CPU, CARD, second, third))
    small = PlaceRequest(variants=(variant("4.0bpw", 1, "exl2"),))
    for free, expected in (
        ({"GPU-0": 9 * GIB, "GPU-1": 23 * GIB, "GPU-2": 22 * GIB}, "GPU-1"),
        ({"GPU-0": 24 * GIB, "GPU-1": 24 * GIB, "GPU-2": 24 * GIB}, "GPU-0"),
        ({"GPU-2": 3 * GIB}, "GPU-2"),
    ):
        assert chosen(changed(several, gpu_free_bytes=free), small).device.id == expected


def test_the_order_of_hives_engines_and_devices_decides_nothing() -> None:
    for hive in (BOX, MAC, SERVER):
        turned = changed(hive, devices=hive.devices[::-1], engines=hive.engines[::-1])
        assert told(chosen(turned)) == told(chosen(hive))


def test_what_does_not_fit_is_passed_over_with_its_numbers() -> None:
    found = chosen(SERVER)
    assert found.reasons == (
        "Q8_0 (gguf) needs about 9216 MiB and 7168 MiB are free on CPU-0",
        (
            "Q5_K_M (gguf) is for general, which suits CPU-0 (cpu) better than others; "
            "it needs about 6144 MiB and 7168 MiB are free"
        ),
    )
    assert (found.free_bytes, found.rank) == (7 * GIB, 1)


def test_the_next_format_is_taken_where_the_better_one_does_not_fit() -> None:
    small = (variant("8.0bpw", 9, "exl2"), variant("Q2_K", 3))
    found = chosen(changed(BOX, gpu_free_bytes={"GPU-0": 4 * GIB}), PlaceRequest(variants=small))
    assert told(found) == ("Q2_K", "general", "GPU-0", True, False)
    assert found.reasons[0] == "8.0bpw (exl2) needs about 9216 MiB and 4096 MiB are free on GPU-0"


def test_what_lies_on_the_disk_goes_before_better_ones_of_its_kind() -> None:
    found = chosen(changed(SERVER, held=frozenset({"v:m:Q4_K_M", "v:m:F16"})))
    assert told(found) == ("Q4_K_M", "general", "CPU-0", True, True)
    assert "on its disk already" in found.reasons[-1]


def test_what_lies_on_the_disk_and_does_not_fit_is_not_taken() -> None:
    found = chosen(changed(SERVER, held=frozenset({"v:m:Q8_0"})))
    assert told(found) == ("Q5_K_M", "general", "CPU-0", True, False)


def test_a_card_that_is_full_leaves_it_to_the_processor() -> None:
    found = chosen(changed(BOX, gpu_free_bytes={"GPU-0": GIB}))
    assert told(found) == ("Q8_0", "general", "CPU-0", True, False)
    assert found.reasons[0] == "4.0bpw (exl2) needs about 5120 MiB and 1024 MiB are free on GPU-0"


def test_idle_workers_count_as_room_where_nothing_fits_without_it() -> None:
    idle = (IdleWorker(worker_id="x", idle_s=1, device="GPU-0", vram_bytes=8 * GIB),)
    found = chosen(changed(BOX, gpu_free_bytes={"GPU-0": GIB}, idle=idle))
    assert told(found) == ("6.0bpw", "cards", "GPU-0", True, False)
    assert found.reasons[-1].endswith("once idle workers have made room")


def test_where_nothing_fits_the_smallest_is_told_with_its_numbers() -> None:
    found = chosen(changed(SERVER, ram_free_bytes=4 * GIB))
    assert told(found) == ("Q4_K_M", "general", "CPU-0", False, False)
    assert found.reasons == (
        "Q4_K_M (gguf) needs about 5120 MiB and 4096 MiB are free on CPU-0",
        "none of the other 3 variants needs less",
    )


def test_the_device_that_is_short_of_the_least_is_the_one_that_is_told() -> None:
    tight = changed(BOX, gpu_free_bytes={"GPU-0": GIB}, ram_free_bytes=4 * GIB)
    assert told(chosen(tight)) == ("Q4_K_M", "general", "CPU-0", False, False)


def test_what_is_unknown_is_no_obstacle_and_is_not_claimed() -> None:
    found = chosen(changed(BOX, gpu_free_bytes={}))
    assert told(found) == ("6.0bpw", "cards", "GPU-0", None, False)
    assert found.reasons[-1].endswith("what is free is unknown")
    sizeless = ModelVariant(model_id="v:n", name="n", vendor="v", format="gguf", files=(ModelFile(name="f"),))
    assert told(chosen(SERVER, PlaceRequest(variants=(sizeless,)))) == (None, "general", "CPU-0", None, False)


def test_a_format_of_an_engine_that_says_nothing_comes_last_and_is_allowed() -> None:
    parrot = engine("parrot", "echo", cpu=0)
    request = PlaceRequest(variants=(variant("echo", 1, "echo"), *VARIANTS))
    both = changed(SERVER, engines=(parrot, GENERAL))
    assert chosen(both, request).variant.format == "gguf"
    assert chosen(changed(SERVER, engines=(parrot,)), request).variant.format == "echo"
    assert (
        chosen(changed(SERVER, engines=(parrot, MAKESHIFT), ram_free_bytes=64 * GIB), request).variant.format == "echo"
    )


def test_an_engine_that_cannot_run_or_do_what_is_asked_is_not_reckoned_with() -> None:
    absent = msgspec.structs.replace(CARDS, available=False, reason="pip install it")
    assert chosen(changed(BOX, engines=(absent, GENERAL))).engine.name == "general"
    mute = msgspec.structs.replace(CARDS, capabilities=())
    asking = msgspec.structs.replace(WANTED, capability=Capability.CHAT)
    assert chosen(changed(BOX, engines=(mute, GENERAL)), asking).engine.name == "general"


def test_a_named_device_is_the_only_one_looked_at() -> None:
    assert told(chosen(BOX, msgspec.structs.replace(WANTED, device="CPU-0"))) == (
        "Q8_0",
        "general",
        "CPU-0",
        True,
        False,
    )
    refused = unsuitable(BOX, msgspec.structs.replace(WANTED, device="GPU-7"))
    assert refused.reasons == ("no device GPU-7 there suits the engines cards, general, makeshift",)


def test_a_variant_that_keeps_failing_there_is_left_alone_for_a_while() -> None:
    failed = {"v:m:6.0bpw": Failure(2.0, "it burst")}
    found = chosen(changed(BOX, failed=failed))
    assert found.variant.quantization == "4.0bpw"
    assert found.reasons[0] == "6.0bpw (exl2) failed to load there again 2 s ago and is next tried in 8 s (it burst)"
    everything = {one.model_id: Failure(2.0, "it burst") for one in VARIANTS}
    assert len(unsuitable(changed(BOX, failed=everything)).reasons) == len(VARIANTS)


def test_files_that_are_used_in_place_are_not_looked_for_on_another_machine() -> None:
    mine = ModelVariant(model_id="file:/m", name="/m", vendor="local", format="gguf", in_place="/m")
    request = PlaceRequest(variants=(mine,))
    assert chosen(changed(SERVER, held=frozenset({"file:/m"})), request).present
    refused = unsuitable(changed(SERVER, elsewhere=frozenset({"file:/m"})), request)
    assert refused.reasons == ("/m is used where it lies, which is on another machine",)


@pytest.mark.parametrize(
    ("more", "why", "code"),
    [
        ({"online": False}, "it is down", "NO_PLACEMENT"),
        ({"engines": ()}, "no engine there opens the formats 'apple', 'exl2', 'gguf', 'onnx'", "ENGINE_UNAVAILABLE"),
        ({"engines": (APPLES,), "devices": (CARD,)}, "no device there suits the engines apples", "NO_PLACEMENT"),
    ],
)
def test_a_hive_that_can_take_none_says_why(more: dict[str, Any], why: str, code: str) -> None:
    refused = unsuitable(changed(SERVER, **more))
    assert why in refused.reasons[0].replace(", 'safetensors'", "")
    assert refused.code == code


@pytest.mark.parametrize(
    ("hives", "expected"),
    [
        ((SERVER, MAC, BOX), ("box", "v:m:6.0bpw")),
        ((SERVER, MAC), ("mac", "v:m:4BIT")),
        ((SERVER, changed(MAC, held=frozenset({"v:m:4BIT"})), BOX), ("mac", "v:m:4BIT")),
        ((changed(SERVER, held=frozenset({"v:m:Q4_K_M"})), BOX), ("box", "v:m:6.0bpw")),
    ],
    ids=["the vendor's better one", "a GPU first", "what is there already", "a GPU before what is there already"],
)
def test_a_start_goes_to_one_machine_with_that_machines_artefact(
    hives: tuple[HiveView, ...], expected: tuple[str, str]
) -> None:
    decision = place(WANTED, (), lambda: hives, None)
    assert isinstance(decision, Start)
    assert (decision.hive_id, decision.model_id) == expected
    assert decision.because


def test_room_on_a_card_is_made_by_the_workers_on_that_card_alone() -> None:
    idle = (
        IdleWorker(worker_id="elsewhere", idle_s=900, device="GPU-1", vram_bytes=20 * GIB),
        IdleWorker(worker_id="processor", idle_s=800, device="CPU-0", memory_bytes=20 * GIB),
        IdleWorker(worker_id="here", idle_s=1, device="GPU-0", vram_bytes=20 * GIB),
    )
    decision = place(WANTED, (), lambda: (changed(BOX, gpu_free_bytes={"GPU-0": GIB}, idle=idle),), None)
    assert isinstance(decision, Start)
    assert decision.evict == ("here",)
