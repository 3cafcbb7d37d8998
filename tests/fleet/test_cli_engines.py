"""`rbee worker install`, `list`, `available` and `remove`: engines in environments of their own, in a real colony."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from fleet.conftest import one_line
from rbee.testing.colony import Colony, eventually
from unit.builtin.python_workers import wheels

ENGINE = wheels.ENGINE.replace('{"dust"}', '{"echo"}')


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    wheels.speck(folder, ENGINE)
    return folder


@pytest.fixture
def colony(make_colony: Callable[..., Colony], index: Path, tmp_path: Path) -> Colony:
    """A colony whose installer asks a folder of this test alone."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    uv = {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(index), "UV_CACHE_DIR": str(tmp_path / "cache")}
    return make_colony(environment={**uv, "PATH": beside, "RBEE_PLUGINS": "echo,speck"})


def engines(colony: Colony, command: str = "list") -> dict[str, dict]:
    done = colony.cli("worker", command, "--json")
    assert done.returncode == 0, done.stderr
    return {one["worker"]: one for one in json.loads(done.stdout)["workers"]}


def install(colony: Colony) -> None:
    done = colony.cli("worker", "install", "speck", "--package", "rbee-speck[engine]")
    assert done.returncode == 0, done.stderr
    assert "Installing rbee-speck==1.0, speck-lib==2.5" in done.stderr
    assert "speck 2.5 is installed (python: " in done.stderr


def spawn(colony: Colony, name: str) -> psutil.Process:
    done = colony.cli("worker", "spawn", f"echo:{name}", "--engine", "speck", "--worker-id", name)
    assert done.returncode == 0, done.stderr
    (worker,) = [one for one in colony.workers() if one["worker_id"] == name]
    return psutil.Process(worker["pid"] or eventually(lambda: _pid(colony, name)))


def _pid(colony: Colony, name: str) -> int | None:
    return next(one["pid"] for one in colony.workers() if one["worker_id"] == name)


def test_an_engine_is_installed_used_kept_over_a_restart_and_removed(colony: Colony) -> None:
    assert "speck" not in engines(colony)
    assert engines(colony)["echo"]["origin"] == "rbee-echo in rbee's own environment"
    install(colony)
    there = engines(colony)["speck"]
    folder = colony.home / "data" / "workers" / "python" / "speck"
    assert (there["version"], there["origin"], there["available"]) == ("2.5", str(folder), True)
    assert "yes" in colony.cli("worker", "list").stdout
    first = spawn(colony, "first")
    assert first.cmdline()[0].startswith(str(folder))
    answer = colony.cli("infer", "echo:first", "say it", "--worker", "first")
    assert answer.stdout.strip() == "dust", answer.stderr
    colony.kill9()
    colony.start_up()
    eventually(lambda: _pid(colony, "first") == first.pid, 30)
    second = spawn(colony, "second")
    assert second.cmdline()[0].startswith(str(folder)), "a hive that starts anew knows its engines"
    assert spawn_other(colony).cmdline()[0] == sys.executable
    refused = colony.cli("worker", "remove", "speck")
    assert refused.returncode == 1
    assert "is run by first, second" in one_line(refused.stderr)
    for name in ("first", "second"):
        assert colony.cli("worker", "stop", name, "--force").returncode == 0
    removed = colony.cli("worker", "remove", "speck", "--json")
    assert removed.returncode == 0, removed.stderr
    assert json.loads(removed.stdout)[0]["worker"] == "speck"
    assert "speck" not in engines(colony)
    assert list(folder.parent.iterdir()) == []


def spawn_other(colony: Colony) -> psutil.Process:
    assert colony.cli("worker", "spawn", "echo:other", "--engine", "echo", "--worker-id", "other").returncode == 0
    return psutil.Process(eventually(lambda: _pid(colony, "other")))


def test_a_broken_environment_is_told_with_its_reason_and_breaks_nothing(colony: Colony) -> None:
    install(colony)
    (module,) = (colony.home / "data" / "workers").rglob("rbee_speck.py")
    module.unlink()
    colony.stop()
    colony.start_up()
    done = colony.cli("worker", "spawn", "echo:x", "--engine", "speck")
    assert done.returncode == 1
    assert "finds it no more; remove it and install it anew" in one_line(done.stderr)
    assert colony.cli("worker", "spawn", "echo:x").returncode == 0
    assert engines(colony)["speck"]["available"] is False
    assert colony.cli("worker", "remove", "speck").returncode == 0
    install(colony)
    assert engines(colony)["speck"]["available"]


def test_interrupted_it_leaves_no_environment_and_no_process(colony: Colony, index: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    wheels.stuck(index, begun)
    with colony.start("worker", "install", "stuck", "--package", "stuck") as command:
        eventually(begun.exists, 60)
        command.interrupt()
        assert command.wait() == 130
        assert command.stderr.splitlines()[-1] == "rbee: Interrupted."
    eventually(lambda: not list((colony.home / "data" / "workers" / "python").iterdir()))
    left = [one for one in colony.processes() if "uv" in one.name() or "backend" in " ".join(one.cmdline())]
    assert not left
    assert "stuck" not in engines(colony)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["install", "nobody"], "No worker 'nobody' is to be had here"),
        (["install", "speck", "--package", "https://example.org/speck.whl"], "is no package"),
        (["install", "../speck", "--package", "rbee-speck"], "cannot be the name of a worker"),
        (["remove", "nobody"], "No worker 'nobody' is installed here"),
        (["remove", "echo"], "uv pip uninstall"),
        (["list", "--hive", "nowhere"], "There is no hive 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_one_line(shared_colony: Colony, arguments: list[str], said: str) -> None:
    done = shared_colony.cli("worker", *arguments)
    assert done.returncode == 1
    assert said in one_line(done.stderr)
    assert done.stdout == ""


def test_all_hives_are_named_in_what_is_printed(shared_colony: Colony) -> None:
    listed = json.loads(shared_colony.cli("worker", "list", "--all-hives", "--json").stdout)
    hives = {
        worker["hive_id"] for worker in shared_colony.http.get(f"{shared_colony.queen_url}/v1/info").json()["hives"]
    }
    assert {one["hive_id"] for one in listed["workers"]} == hives
    assert {"echo", "llamacpp"} <= {one["worker"] for one in listed["workers"]}
    assert listed["failed"] == []
    wrong = shared_colony.cli("worker", "install", "x", "--hive", "a", "--all-hives")
    assert wrong.returncode == 2
