"""What the queen learns from the registry."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from rbee.clients import Credentials
from rbee.contract.errors import UnreachableError
from rbee.contract.wire import Component, Registration
from rbee.queen import discovery as module
from rbee.queen.discovery import Discovery
from rbee.settings import load_settings


class FakeRegistry:
    """Tells one component with each stream and closes it."""

    def __init__(self) -> None:
        self.streams = 0
        self.registered = asyncio.Event()

    async def events(self):
        self.streams += 1
        for name in ("odd", "h"):
            component = Component(component_type="hive", component_id=name, url="http://a:1")
            yield SimpleNamespace(type="joined", revision=1, component=component)
        raise UnreachableError("closed")

    async def register(self, _registration: Registration) -> None:
        self.registered.set()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seen: list[float] = []
    monkeypatch.setattr(module, "jittered", lambda seconds: seen.append(seconds) or 0.001)
    return seen


async def test_a_registry_that_closes_at_once_is_not_hammered_and_an_odd_component_costs_nothing(
    tmp_path: Path, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[str] = []

    def take(component: Component) -> None:
        if component.component_id == "odd":
            raise KeyError("odd")
        taken.append(component.component_id)

    settings = load_settings(tmp_path / "config.toml", {}).settings
    mine = Registration(component_type="queen", component_id="queen", url="http://a:1")
    discovery = Discovery("http://127.0.0.1:9", Credentials(), settings, lambda: mine, take)
    registry = discovery._client = discovery._membership._client = FakeRegistry()
    task = asyncio.create_task(discovery.run())
    async with asyncio.timeout(10):
        while registry.streams < 4:
            await asyncio.sleep(0.001)
        await registry.registered.wait()
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert waits[:3] == [2.0, 2.0, 2.0]
    assert taken[:3] == ["h", "h", "h"]
    assert "'odd'" in caplog.text
    await discovery._transport.close()
