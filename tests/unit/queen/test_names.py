"""Names of models, remembered for a minute."""

from __future__ import annotations

import pytest
from rbee.catalog import Resolver
from rbee.contract.errors import ModelNotFoundError, PermissionDeniedError
from rbee.contract.wire import Registration
from rbee.queen.names import ModelNames
from rbee.telemetry import TelemetryRegistry


async def test_a_vendor_is_asked_once_a_minute(shelf, clock) -> None:
    names = ModelNames(Resolver([shelf]), TelemetryRegistry(clock), clock)
    variant = shelf.put("m", {})
    for _ in range(3):
        assert await names.resolve("m", files=True) == variant
    clock.tick(59.9)
    await names.resolve("m", files=True)
    assert shelf.resolved == ["m"]
    clock.tick(0.1)
    newer = shelf.put("m", {"a": b"a"})
    assert await names.resolve("m", files=True) == newer
    assert await names.known() == [newer]


async def test_an_unknown_name_is_asked_for_every_time(shelf, clock) -> None:
    names = ModelNames(Resolver([shelf]), TelemetryRegistry(clock), clock)
    for _ in range(2):
        with pytest.raises(ModelNotFoundError):
            await names.resolve("m", files=True)
    shelf.put("m", {})
    assert (await names.resolve("m", files=True)).model_id == "shelf:m"


async def test_a_model_that_only_a_worker_knows_can_be_routed_to(shelf, clock) -> None:
    telemetry = TelemetryRegistry(clock)
    telemetry.register_worker(Registration(worker_id="w", url="http://a:1", model="theirs"))
    found = await ModelNames(Resolver([shelf]), telemetry, clock).resolve("theirs", files=True)
    assert (found.model_id, found.format) == ("theirs", "unknown")


async def test_a_vendor_of_files_is_not_asked_for_a_stranger(shelf, clock, monkeypatch) -> None:
    monkeypatch.setattr(type(shelf), "names_files", True)
    telemetry = TelemetryRegistry(clock)
    names = ModelNames(Resolver([shelf]), telemetry, clock)
    shelf.put("m", {})
    with pytest.raises(PermissionDeniedError, match="token"):
        await names.resolve("m", files=False)
    assert shelf.resolved == []
    assert (await names.resolve("m", files=True)).model_id == "shelf:m"
    with pytest.raises(PermissionDeniedError):
        await names.resolve("m", files=False)
    telemetry.register_worker(Registration(worker_id="w", url="http://a:1", model="m"))
    assert (await names.resolve("m", files=False)).model_id == "m"
