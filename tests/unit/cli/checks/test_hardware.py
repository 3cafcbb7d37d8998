"""Checks of probes that fail, hang, or know nothing."""

from __future__ import annotations

import threading

import pluggy
import pytest
from rbee.cli.checks import hardware
from rbee.cli.checks.hardware import plugins_and_engines, probes
from rbee.contract.checks import Check
from rbee.contract.engine import Availability
from rbee.contract.probe import NodeSample, Probe
from rbee.contract.token_engine import TokenEngine
from rbee.contract.types import Device, DeviceType
from rbee.plugins import Plugins, Registrations


class Lamp(Probe):
    name = "lamp"

    def devices(self):
        return (Device(id="LAMP-0", name="A lamp", device_type=DeviceType.GPU),)

    def sample_node(self):
        return NodeSample(ram_used_mb=1000, ram_total_mb=1500)

    def sample_processes(self, roots):
        return {}

    def diagnose(self):
        return (Check(name="lamp", status="warn", detail="flickers", remedy="Turn it."),)


class Broken(Lamp):
    name = "broken"

    def devices(self):
        raise RuntimeError("no driver")


class Blind(Lamp):
    name = "blind"

    def devices(self):
        return ()

    def sample_node(self):
        return NodeSample()

    def diagnose(self):
        return ()


async def test_devices_memory_and_the_words_of_each_probe_are_told() -> None:
    found = {check.name: check for check in await probes([Lamp, Blind])}
    assert found["devices"].detail == "LAMP-0 (A lamp)"
    assert (found["memory"].status, found["memory"].detail) == ("warn", "500 MiB free")
    assert found["lamp"].remedy == "Turn it."


async def test_a_probe_that_fails_is_named_and_hides_no_other() -> None:
    found = {check.name: check for check in await probes([Broken, Lamp])}
    assert "no driver" in found["probe broken"].detail
    assert found["devices"].status == "ok"


async def test_a_probe_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    class Hanging(Lamp):
        name = "hanging"

        def devices(self):
            never.wait()
            return ()

    monkeypatch.setattr(hardware, "_PROBE_S", 0.05)
    found = {check.name: check for check in await probes([Hanging, Lamp])}
    never.set()
    assert "did not answer" in found["probe hanging"].detail
    assert found["lamp"].status == "warn"


async def test_no_device_at_all_fails() -> None:
    (check,) = await probes([Blind])
    assert (check.name, check.status) == ("devices", "fail")


class Lame(TokenEngine):
    name = "lame"
    formats = frozenset({"blob"})
    backends = frozenset({"cpu"})
    capabilities = frozenset()

    @classmethod
    def availability(cls):
        return Availability(available=False, reason="no leg; buy one")


class Rare(Lame):
    name = "rare"
    optional = True


def test_of_an_engine_that_nobody_has_asked_for_nobody_is_warned() -> None:
    registrations = Registrations()
    for engine in (Lame, Rare):
        registrations.engines.add(engine.name, engine, "legs", replace=False)
    found = {one.name: one for one in plugins_and_engines(Plugins(pluggy.PluginManager("rbee"), registrations, []))}
    assert (found["engine lame"].status, found["engine lame"].remedy) == ("warn", "buy one")
    assert (found["engine rare"].status, found["engine rare"].detail) == ("ok", "not here: no leg")
    assert found["engines"].status == "fail"
