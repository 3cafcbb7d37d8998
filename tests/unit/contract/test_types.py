"""Value types."""

from __future__ import annotations

import msgspec
import pytest
from rbee.contract import (
    CONTRACT_VERSION,
    Capability,
    Device,
    DeviceShare,
    DeviceType,
    LoadSpec,
    ModelFile,
    ModelVariant,
    WorkerState,
)
from rbee.contract.types import EngineInfo

VARIANT = ModelVariant(
    model_id="shelf:org/m@1:Q8_0",
    name="m",
    vendor="shelf",
    format="blob",
    files=(ModelFile(name="a", size_bytes=2), ModelFile(name="b", size_bytes=3)),
    capabilities=frozenset({Capability.CHAT}),
)


@pytest.mark.parametrize("state", list(WorkerState))
def test_every_state_is_read_in_any_case(state: WorkerState) -> None:
    assert WorkerState.parse(state.value.upper()) is state
    assert WorkerState.parse(f" {state.value.title()} ") is state


def test_idle_is_an_older_word_for_ready() -> None:
    assert WorkerState.parse("Idle") is WorkerState.READY


def test_a_word_that_is_no_state_is_refused() -> None:
    with pytest.raises(ValueError, match="sleepy"):
        WorkerState.parse("sleepy")


def test_only_ready_and_busy_workers_serve() -> None:
    assert {state for state in WorkerState if state.serving} == {WorkerState.READY, WorkerState.BUSY}


def test_the_size_of_a_variant_is_that_of_its_files() -> None:
    assert VARIANT.size_bytes == 5


def test_one_unknown_file_makes_the_size_unknown() -> None:
    files = (*VARIANT.files, ModelFile(name="c"))
    assert msgspec.structs.replace(VARIANT, files=files).size_bytes is None


@pytest.mark.parametrize(
    "value",
    [
        VARIANT,
        Device(id="GPU-0", name="a card", device_type=DeviceType.GPU, vram_gb=24, compute_capability="8.9"),
        LoadSpec(model_id="m", model_path=None, variant=VARIANT),
        EngineInfo(
            name="e", version=None, formats=("blob",), backends=(), capabilities=(), available=False, reason="x"
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_survives_the_wire(value: msgspec.Struct) -> None:
    assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value


def test_values_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        VARIANT.name = "other"


def test_unknown_figures_are_told_as_null() -> None:
    told = msgspec.to_builtins(Device(id="CPU-0", name="x", device_type=DeviceType.CPU))
    assert told["memory_bytes"] is None
    assert "memory_bytes" in told


def test_the_contract_has_a_version_of_two_numbers() -> None:
    assert [part.isdecimal() for part in CONTRACT_VERSION.split(".")] == [True, True]


def test_a_load_on_one_device_names_it_and_one_over_several_names_all() -> None:
    one = LoadSpec(model_id="m", model_path=None, variant=VARIANT, device="GPU-1")
    shares = (DeviceShare(device="GPU-1", memory_bytes=5), DeviceShare(device="GPU-0", memory_bytes=3))
    assert one.device_ids == ("GPU-1",)
    assert msgspec.structs.replace(one, devices=shares).device_ids == ("GPU-1", "GPU-0")
