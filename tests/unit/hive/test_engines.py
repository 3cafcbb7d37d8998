"""A broken engine is told as one, and keeps no hive from starting."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from rbee.contract import EngineEnvironment
from rbee.contract.engine import Availability
from rbee.contract.token_engine import TokenEngine
from rbee.contract.types import EngineInfo
from rbee.hive.engines import described, installed_engines, merged


class Broken(TokenEngine):
    name = "broken"
    formats = frozenset({"blob"})
    backends = frozenset({"cpu"})
    capabilities = frozenset()

    @classmethod
    def availability(cls) -> Availability:
        raise OSError("libmill.so: cannot open shared object file")


class Hanging(Broken):
    name = "hanging"
    freed = threading.Event()

    @classmethod
    def availability(cls) -> Availability:
        cls.freed.wait(60)
        return Availability(available=True)


@pytest.fixture
def hanging() -> Iterator[type[Hanging]]:
    Hanging.freed.clear()
    yield Hanging
    Hanging.freed.set()


async def test_an_engine_that_raises_is_not_available_and_says_why() -> None:
    told = await described(Broken)
    assert (told.name, told.formats, told.available, told.version) == ("broken", ("blob",), False, None)
    assert "libmill.so" in told.reason
    assert "; update or remove its plugin" in told.reason


async def test_an_engine_that_hangs_is_not_waited_for(hanging: type[Hanging]) -> None:
    told = await described(hanging, within_s=0.05)
    assert (told.available, told.reason.partition("; ")[2]) == (False, "look at its driver")


def info(name: str, version: str, *, available: bool = True) -> EngineInfo:
    reason = None if available else f"{version} is worn out; mend it"
    return EngineInfo(
        name=name, version=version, formats=(), backends=(), capabilities=(), available=available, reason=reason
    )


def test_what_can_be_used_comes_first_and_then_what_is_rbees_own() -> None:
    own = [info("both", "own"), info("worn", "own", available=False), info("only", "own")]
    apart = [
        ("/a/python", (info("both", "a"), info("worn", "a", available=False), info("there", "a", available=False))),
        ("/b/python", (info("worn", "b"), info("there", "b", available=False))),
    ]
    found = merged(own, apart)
    assert {one.name: one.version for one in found.engines} == {"both": "own", "worn": "b", "only": "own", "there": "a"}
    assert found.pythons == {"worn": "/b/python", "there": "/a/python"}


def interpreter(folder: Path, script: str) -> str:
    """Stands where the interpreter of an engine's environment stands."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(0o700)
    return str(path)


async def test_an_environment_apart_tells_of_its_own_engines_alone(tmp_path: Path) -> None:
    told = msgspec.json.encode({"plugins": [], "engines": [info("mill", "2"), info("lamp", "2")]}).decode()
    python = interpreter(tmp_path, f"import sys; assert sys.argv[1:] == ['-m', 'rbee.plugins']; print({told!r})")
    environments = [EngineEnvironment(python=python, engines=(info("mill", "1"), info("gone", "1")))]
    found = await installed_engines(dict(os.environ) | {"RBEE_PLUGINS": ""}, environments)
    (gone, mill) = sorted((one for one in found.engines if not one.remote), key=lambda one: one.name)
    assert (mill.version, mill.available) == ("2", True)
    assert (gone.name, gone.available) == ("gone", False)
    assert "finds it no more; remove it and install it anew" in gone.reason
    assert found.pythons == {"mill": python, "gone": python}


@pytest.mark.parametrize(
    ("script", "why"),
    [("raise SystemExit('libmill.so: no such file')", "libmill.so: no such file"), ("print('hello')", "malformed")],
)
async def test_a_broken_environment_is_told_with_its_reason_and_hides_no_other(
    tmp_path: Path, script: str, why: str
) -> None:
    missing = EngineEnvironment(python=str(tmp_path / "nothing"), engines=(info("lost", "1"),))
    broken = EngineEnvironment(python=interpreter(tmp_path, script), engines=(info("mill", "1"),))
    known = EngineEnvironment(python="", engines=(info("old", "1"),), reason="it is too old; install it anew")
    found = await installed_engines(dict(os.environ) | {"RBEE_PLUGINS": ""}, [missing, broken, known])
    # Core's own is there in any case, and computes nothing here.
    told = {one.name: one for one in found.engines if not one.remote}
    assert not any(one.available for one in told.values())
    assert why in told["mill"].reason
    assert "nothing" in told["lost"].reason
    assert told["old"].reason == "it is too old; install it anew"
