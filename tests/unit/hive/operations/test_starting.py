"""Device and engine are chosen before anything is fetched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import msgspec
import pytest
from rbee.contract import EngineOption
from rbee.contract.errors import EngineUnavailableError, InvalidRequestError, UnavailableError
from rbee.contract.types import Device, DeviceType, EngineInfo, ModelVariant
from rbee.contract.wire import WorkerSpawn
from rbee.hive.operations.starting import Starting
from rbee.settings import Settings

CPU = Device(id="CPU-0", name="cpu", device_type=DeviceType.CPU, backend="cpu")
GPU = Device(id="GPU-0", name="gpu", device_type=DeviceType.GPU, backend="cuda")
MODEL = ModelVariant(model_id="shelf:m", name="m", vendor="shelf", format="blob")


def engine(name: str, *, available: bool = True, backends: tuple[str, ...] = ("cpu",)) -> EngineInfo:
    return EngineInfo(
        name=name,
        version="1",
        formats=("blob",),
        backends=backends,
        capabilities=(),
        available=available,
        reason=None if available else f"{name} is broken; mend it",
    )


def on(*devices: Device, engines: tuple[EngineInfo, ...] = ()) -> Starting:
    hive = Mock()
    hive.capabilities.return_value.capabilities = devices
    hive.capabilities.return_value.engines = engines
    return Starting(hive, Mock(), Mock(), Mock(), Mock(), Mock())


def test_a_device_is_meant_by_id_by_number_or_not_at_all() -> None:
    for wanted in (None, "", "CPU-0"):
        assert on(CPU, GPU).device(wanted) == ("CPU-0", "cpu")
    for wanted in (0, "0", "GPU-0"):
        assert on(CPU, GPU).device(wanted) == ("GPU-0", "cuda")
    assert on(CPU).device(0) == ("CPU-0", "cpu")


@pytest.mark.parametrize("wanted", ["GPU-9", 9, -1, "x"])
def test_an_unknown_device_is_refused_with_those_there_are(wanted: str | int) -> None:
    with pytest.raises(InvalidRequestError, match="Devices: CPU-0, GPU-0") as caught:
        on(CPU, GPU).device(wanted)
    assert caught.value.param == "device"


@pytest.mark.parametrize("worker_id", ["queen", "hive", "registry", "colony", "Queen"])
async def test_a_worker_is_not_called_like_a_program_whose_log_it_would_write(worker_id: str) -> None:
    starting = on(CPU, engines=(engine("first"),))
    with pytest.raises(InvalidRequestError, match="program's log") as caught:
        await starting.spawn(WorkerSpawn(model="m", worker_id=worker_id), MODEL, Mock())
    assert caught.value.param == "worker_id"


def test_a_hive_that_knows_no_device_says_so() -> None:
    with pytest.raises(UnavailableError, match="No device"):
        on().device(None)
    with pytest.raises(InvalidRequestError, match="Devices: none"):
        on().device("CPU-0")


def test_an_engine_is_meant_by_name_by_backend_or_not_at_all() -> None:
    found = on(CPU, engines=(engine("first", backends=("cuda",)), engine("second"), engine("third")))
    assert found.engine(MODEL, None, "cpu").name == "second"
    assert found.engine(MODEL, "third", "cpu").name == "third"
    assert found.engine(MODEL, "cuda", "cuda").name == "first"
    with pytest.raises(InvalidRequestError, match="Engines: first, second, third"):
        found.engine(MODEL, "fourth", "cpu")


def test_an_engine_that_was_named_and_will_not_do_is_told_for_itself() -> None:
    cuda = engine("first", backends=("cuda",), available=False)
    found = on(CPU, engines=(cuda, engine("second")))
    with pytest.raises(
        EngineUnavailableError, match=r"'first' cannot drive a device by 'cpu'; it does by: cuda\. Besid"
    ):
        found.engine(MODEL, "first", "cpu")
    with pytest.raises(EngineUnavailableError, match=r"'second' does not open the format 'lump' of .*; it opens: \w+"):
        found.engine(msgspec.structs.replace(MODEL, format="lump"), "second", "cpu")


def test_why_no_engine_can_run_it_is_told_with_the_remedy() -> None:
    with pytest.raises(EngineUnavailableError, match="only is broken; mend it"):
        on(CPU, engines=(engine("only", available=False),)).engine(MODEL, None, "cpu")
    with pytest.raises(EngineUnavailableError, match="No engine here opens the format 'blob'"):
        on(CPU).engine(MODEL, None, "cpu")


MILL = EngineInfo(
    name="mill",
    version="1",
    formats=("blob",),
    backends=("cpu",),
    capabilities=(),
    available=True,
    options=(
        EngineOption(name="cache_mb", kind="int", help="c", default=4, low=0, high=64),
        EngineOption(name="adapter", kind="text", help="a"),
    ),
)


def with_settings(engines: dict[str, dict[str, Any]]) -> tuple[Starting, Mock, Mock]:
    """A start whose hive has these options set; its catalogue, and the supervisor that it ends at."""
    hive, catalog, supervisor = Mock(measure=AsyncMock()), Mock(), Mock()
    hive.draining = Mock(keep=AsyncMock(), active=False)
    hive.capabilities.return_value = SimpleNamespace(capabilities=(CPU,), engines=(MILL,))
    catalog.find = AsyncMock(return_value=Mock(variant=MODEL, path="/blob", figures=None, size_bytes=None))
    supervisor.states.return_value = {}
    supervisor.ensure_ready = AsyncMock(side_effect=EngineUnavailableError("as far as it goes here"))
    starting = Starting(hive, catalog, Mock(), supervisor, Mock(), Settings(engines=engines))
    return starting, catalog, supervisor


@pytest.mark.parametrize(
    ("engines", "options"),
    [
        ({}, {"cache_gb": 5}),
        ({}, {"cache_mb": 65}),
        ({"mill": {"cache_mb": "much"}}, {}),
    ],
    ids=["unknown", "out of bounds", "in the settings"],
)
async def test_options_that_the_engine_does_not_take_are_refused_before_anything_is_fetched(
    engines: dict[str, dict[str, Any]], options: dict[str, Any]
) -> None:
    starting, catalog, supervisor = with_settings(engines)
    with pytest.raises(InvalidRequestError, match="cache_") as caught:
        await starting.spawn(WorkerSpawn(model="m", options=options), MODEL, Mock())
    assert (caught.value.param or "").startswith("options.cache_")
    assert not catalog.find.called
    assert not supervisor.ensure_ready.called


async def test_options_of_a_request_lie_over_the_settings_and_these_over_the_defaults() -> None:
    starting, _, supervisor = with_settings({"mill": {"cache_mb": "8", "adapter": "theirs"}, "gone": {"x": 1}})
    with pytest.raises(EngineUnavailableError, match="as far as it goes"):
        await starting.spawn(WorkerSpawn(model="m", options={"adapter": "mine"}), MODEL, Mock())
    assert supervisor.ensure_ready.call_args.args[1].options == {"cache_mb": 8, "adapter": "mine"}


TWIN = msgspec.structs.replace(GPU, id="GPU-1")


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("GPU-1,GPU-0", "GPU-1,GPU-0"),
        (" GPU-0 , 1", "GPU-0,GPU-1"),
        ("GPU-0,GPU-0", "GPU-0"),
        ("GPU-1,", "GPU-1"),
    ],
)
def test_several_devices_are_meant_in_the_order_in_which_they_are_named(wanted: str, meant: str) -> None:
    assert on(CPU, GPU, TWIN).device(wanted) == (meant, "cuda")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("GPU-0,GPU-9", "There is no device 'GPU-9' here. Devices: CPU-0, GPU-0, GPU-1."),
        ("GPU-0,CPU-0", "are driven in different ways (GPU-0 by cuda, CPU-0 by cpu)"),
        (",", "There is no device ',' here"),
    ],
)
def test_devices_that_are_no_set_are_refused_by_name(wanted: str, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        on(CPU, GPU, TWIN).device(wanted)
    assert words in caught.value.message
    assert caught.value.param == "device"


def test_an_engine_for_several_devices_is_one_that_says_so() -> None:
    plain = msgspec.structs.replace(engine("plain", backends=("cuda",)), preference={"cuda": 30})
    splitting = msgspec.structs.replace(engine("splitting", backends=("cuda",)), splits=("cuda",))
    starting = on(GPU, TWIN, engines=(plain, splitting))
    assert starting.engine(MODEL, None, "cuda").name == "plain"
    assert starting.engine(MODEL, None, "cuda", several=True).name == "splitting"
    with pytest.raises(EngineUnavailableError, match=r"No engine here spreads 'm' over several devices .* Name one"):
        starting.engine(MODEL, "plain", "cuda", several=True)
