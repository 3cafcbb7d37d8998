"""What comes in by a job's body is checked before anything is done with it."""

from __future__ import annotations

from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from rbee.contract.errors import InvalidRequestError, UnavailableError
from rbee.contract.types import Device, DeviceType
from rbee.hive.operations import Operations


@pytest.fixture
def resolver() -> Mock:
    found = Mock()
    found.resolve = AsyncMock(side_effect=AssertionError("nothing may be looked up"))
    return found


@pytest.fixture
def operations(resolver: Mock) -> Operations:
    return Operations(Mock(), Mock(), resolver, Mock(), Mock(), Mock())


BAD = ["../../etc/passwd", "a/b", ".hidden", "-flag", "a b", "a\n", "\N{SNOWMAN}", "a" * 129, "a\x00"]


@pytest.mark.parametrize("worker_id", BAD)
@pytest.mark.parametrize("operation", ["worker_spawn", "worker_process_delete"])
async def test_an_id_that_is_no_name_is_refused(operations: Operations, operation: str, worker_id: str) -> None:
    body = {"operation": operation, "model": "m", "worker_id": worker_id}
    with pytest.raises(InvalidRequestError) as caught:
        await operations.handlers()[operation](body, Mock())
    assert caught.value.param == "worker_id"


@pytest.mark.parametrize(("field", "value"), [("slots", 0), ("slots", 1025), ("context_length", -1)])
async def test_bounds_are_checked_before_a_model_is_looked_for(operations: Operations, field: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await operations.worker_spawn({"operation": "worker_spawn", "model": "m", field: value}, Mock())
    assert caught.value.param == field


@pytest.mark.parametrize("body", [{}, {"worker_id": ""}, {"id": ""}])
async def test_a_worker_to_be_stopped_must_be_named(operations: Operations, body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="missing"):
        await operations.worker_process_delete(body, Mock())


CPU = Device(id="CPU-0", name="cpu", device_type=DeviceType.CPU, backend="cpu")
GPU = Device(id="GPU-0", name="gpu", device_type=DeviceType.GPU, backend="cuda")


def on(*devices: Device) -> Operations:
    hive = Mock()
    hive.capabilities.return_value.capabilities = devices
    return Operations(hive, Mock(), Mock(), Mock(), Mock(), Mock())


def test_a_device_is_meant_by_id_by_number_or_not_at_all() -> None:
    for wanted in (None, "", "CPU-0"):
        assert on(CPU, GPU)._device(wanted) == ("CPU-0", "cpu")
    for wanted in (0, "0", "GPU-0"):
        assert on(CPU, GPU)._device(wanted) == ("GPU-0", "cuda")
    assert on(CPU)._device(0) == ("CPU-0", "cpu")


@pytest.mark.parametrize("wanted", ["GPU-9", 9, -1, "x"])
def test_an_unknown_device_is_refused_with_those_there_are(wanted: str | int) -> None:
    with pytest.raises(InvalidRequestError, match="Devices: CPU-0, GPU-0") as caught:
        on(CPU, GPU)._device(wanted)
    assert caught.value.param == "device"


def test_a_hive_that_knows_no_device_says_so() -> None:
    with pytest.raises(UnavailableError, match="No device"):
        on()._device(None)
    with pytest.raises(InvalidRequestError, match="Devices: none"):
        on()._device("CPU-0")
