"""What engines say of themselves, whatever a broken one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import MappingProxyType

import msgspec
from rbee.contract import Backend, EngineInfo
from rbee.contract.engine import Availability
from rbee.contract.token_engine import TokenEngine
from rbee.plugins import engine_info, engine_infos


class Mill(TokenEngine):
    name = "mill"
    formats = frozenset({"blob"})
    backends = frozenset({"cpu"})
    capabilities = frozenset()

    @classmethod
    def availability(cls) -> Availability:
        return Availability(available=True, version="1")


class Broken(Mill):
    name = "broken"

    @classmethod
    def availability(cls) -> Availability:
        raise RuntimeError("no such instruction")


def test_a_broken_engine_is_told_beside_the_others_with_the_reason() -> None:
    whole, broken = engine_info(Mill), engine_info(Broken)
    assert (whole.available, whole.reason) == (True, None)
    assert (broken.name, broken.available, broken.backends) == ("broken", False, ("cpu",))
    assert "no such instruction" in broken.reason


def test_an_engine_tells_how_well_it_suits_a_backend() -> None:
    class Keen(Mill):
        preference = MappingProxyType({Backend.CPU: 20, "quantum": 30})

    assert engine_info(Mill).preference == {}
    told = msgspec.json.encode(engine_info(Keen))
    assert msgspec.json.decode(told, type=EngineInfo).preference == {"cpu": 20, "quantum": 30}


def test_an_engine_that_hangs_is_not_waited_for_and_hides_no_other() -> None:
    freed = threading.Event()

    class Hanging(Mill):
        name = "hanging"

        @classmethod
        def availability(cls) -> Availability:
            freed.wait(60)
            return Availability(available=True)

    try:
        hanging, broken, whole = engine_infos([Hanging, Broken, Mill], within_s=0.5)
    finally:
        freed.set()
    assert (hanging.available, (hanging.reason or "").partition("; ")[2]) == (False, "look at its driver")
    assert (broken.available, whole.available) == (False, True)


NOISY = """
import os
from rbee.contract import Availability, Backend, EngineStatus, TokenEngine, hookimpl

RBEE_CONTRACT = ">=0.3,<0.4"
# As a library in C does.
os.write(1, b"loading...\\n")


class Noisy(TokenEngine):
    name = "noisy"
    formats = frozenset({"dust"})
    backends = frozenset({Backend.CPU})
    capabilities = frozenset()

    @classmethod
    def availability(cls):
        os.write(1, b"found a card\\n")
        raise RuntimeError("no such instruction")

    def load(self, spec, report): ...
    def add(self, request): ...
    def step(self): ...
    def remove(self, request_id): ...
    def unload(self): ...
    def status(self):
        return EngineStatus()


@hookimpl
def rbee_register(register):
    register.engine(Noisy)
"""


def test_a_plugin_that_is_noisy_and_broken_spoils_neither_the_document_nor_the_command(tmp_path: Path) -> None:
    info = tmp_path / "noisy-1.0.dist-info"
    info.mkdir()
    (tmp_path / "noisy_engine.py").write_text(NOISY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rbee]\nnoisy = noisy_engine\n")
    home = {"RBEE_HOME": str(tmp_path / "home"), "RBEE_PLUGINS": "noisy"}
    environment = {**os.environ, **home, "PYTHONPATH": str(tmp_path)}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", *command]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)

    (noisy,) = [one for one in json.loads(run("rbee.plugins").stdout)["engines"] if one["name"] == "noisy"]
    assert (noisy["available"], "no such instruction" in noisy["reason"]) == (False, True)
    shown = run("rbee", "plugins")
    assert shown.returncode == 0
    assert "Engine noisy cannot run here" in shown.stderr
