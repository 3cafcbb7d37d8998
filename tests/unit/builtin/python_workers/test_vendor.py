"""Engines as Python packages, really installed by uv into environments of their own, without network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
from rbee.builtin.python_workers import PythonWorkerVendor, installer
from rbee.catalog import WorkerCatalog
from rbee.catalog.cancel import Cancel
from rbee.contract.errors import (
    CancelledByCallerError,
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PluginError,
    RbeeError,
)
from rbee.testing.conformance import WorkerVendorContract
from unit.builtin.python_workers import wheels


def unmoved(_done: int, _total: int | None) -> None:
    """No bytes are told."""


def offer(vendor: PythonWorkerVendor, worker: str = "speck") -> Any:
    (found,) = [one for one in vendor.catalog() if one.worker == worker]
    return found


def put(vendor: PythonWorkerVendor, worker: str = "speck") -> list[str]:
    said: list[str] = []
    vendor.install(offer(vendor, worker), said.append, unmoved, Cancel())
    return said


@pytest.fixture
def vendor(python_vendor: PythonWorkerVendor) -> PythonWorkerVendor:
    return python_vendor


class TestPythonWorkerVendor(WorkerVendorContract):
    @pytest.fixture
    def vendor(self, python_vendor: PythonWorkerVendor) -> PythonWorkerVendor:
        return python_vendor

    @pytest.fixture
    def worker(self) -> str:
        return "speck"


async def test_an_engine_is_installed_found_by_its_own_python_and_removed(
    vendor: PythonWorkerVendor, tmp_path: Path
) -> None:
    catalog = WorkerCatalog([vendor])
    before = await catalog.get("speck")
    assert (before.installed, before.available, before.formats) == (False, None, ("dust",))
    assert before.package == "rbee-speck[engine]"
    names = [offer.worker for offer in (await catalog.list()).workers]
    assert {"all", "driver", "dust", "lamp"}.isdisjoint(names), "no engine of its own"
    said: list[str] = []
    after = await catalog.install("speck", None, said.append, unmoved)
    assert (after.installed, after.available, after.version, after.formats) == (True, True, "2.5", ("dust",))
    assert after.origin == str(tmp_path / "workers" / "speck")
    assert "Installing rbee-speck==1.0, speck-lib==2.5" in said
    assert any("+ speck-lib==2.5" in line for line in said), "the installer's lines are told"
    assert await catalog.install("speck", None, said.append, unmoved) == after
    (environment,) = await catalog.environments()
    assert [engine.name for engine in environment.engines] == ["speck", "mote"]
    assert Path(environment.python).is_relative_to(tmp_path / "workers" / "speck")
    await catalog.remove("speck", None, lambda _engines: (), said.append)
    assert not (await catalog.get("speck")).installed
    assert await catalog.environments() == []
    assert list((tmp_path / "workers").iterdir()) == []


def test_versions_and_hashes_of_all_that_is_installed_are_recorded(vendor: PythonWorkerVendor, tmp_path: Path) -> None:
    put(vendor)
    record = json.loads((tmp_path / "workers" / "speck" / "engine.json").read_text())
    assert (record["package"], record["python"]) == (
        "rbee-speck[engine]",
        f"{sys.version_info.major}.{sys.version_info.minor}",
    )
    settled = (tmp_path / "workers" / "speck" / record["build"] / "requirements.txt").read_text()
    assert "rbee-speck==1.0" in settled
    assert "speck-lib==2.5" in settled
    assert settled.count("--hash=sha256:") == 2
    assert "rbee==" not in settled, "rbee itself is on no index"


def test_rbees_own_environment_is_untouched_and_seen_behind_the_engines(vendor: PythonWorkerVendor) -> None:
    put(vendor)
    told = subprocess.run([sys.executable, "-c", "import rbee_speck"], capture_output=True, check=False)
    assert b"ModuleNotFoundError" in told.stderr
    (environment,) = vendor.environments()
    code = "import rbee, rbee_speck, speck_lib, json, sys; print(json.dumps([rbee.__path__[0], sys.path]))"
    where, path = json.loads(subprocess.run([environment.python, "-c", code], capture_output=True, check=True).stdout)
    assert Path(where).is_dir()
    own = next(place for place, one in enumerate(path) if one.startswith(str(Path(environment.python).parents[1])))
    rbees = [place for place, one in enumerate(path) if one.startswith(sys.prefix) and "site-packages" in one]
    assert own < min(rbees)


def test_a_file_that_has_changed_since_is_refused(
    vendor: PythonWorkerVendor, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = installer.install_command

    def changed(*arguments: Any) -> list[str]:
        wheels.wheel(index, "speck_lib", "2.5", "Name: speck-lib\nVersion: 2.5\n", {"speck_lib.py": "VERSION = 'evil'"})
        return [*real(*arguments), "--no-cache"]

    monkeypatch.setattr("rbee.builtin.python_workers.vendor.install_command", changed)
    with pytest.raises(PluginError, match=r"[Hh]ash"):
        put(vendor)
    assert not offer(vendor).installed


def test_a_package_that_nobody_lists_is_installed_by_name(vendor: PythonWorkerVendor) -> None:
    wanted = vendor.offer("mote", "rbee-speck [engine] >= 1")
    assert wanted is not None
    assert wanted.package == "rbee-speck[engine]>=1"
    vendor.install(wanted, lambda _line: None, unmoved, Cancel())
    assert offer(vendor, "mote").installed
    assert offer(vendor, "mote").package == "rbee-speck[engine]>=1"
    said: list[str] = []
    vendor.remove(offer(vendor, "speck"), said.append, Cancel())
    assert "and with it mote" in said[0]
    assert not [one for one in vendor.catalog() if one.worker == "mote"]


async def test_another_package_does_not_take_the_place_of_what_is_installed(vendor: PythonWorkerVendor) -> None:
    catalog = WorkerCatalog([vendor])
    first = await catalog.install("speck", None, lambda _line: None, unmoved, "rbee-speck[engine]")
    assert await catalog.install("speck", None, lambda _line: None, unmoved, "rbee-speck[engine]") == first
    with pytest.raises(ConflictError, match=r"installed already by 'rbee-speck\[engine\]'; remove it first"):
        await catalog.install("speck", None, lambda _line: None, unmoved, "rbee-speck==1.0")


async def test_what_lies_in_one_environment_is_not_removed_while_any_of_it_is_used(vendor: PythonWorkerVendor) -> None:
    put(vendor)
    with pytest.raises(ConflictError, match="run by w1"):
        await WorkerCatalog([vendor]).remove(
            "speck", None, lambda engines: ["w1"] if "mote" in engines else [], lambda _line: None
        )
    assert offer(vendor).installed


@pytest.mark.parametrize(
    ("worker", "package"),
    [
        ("speck", "rbee-speck @ https://example.org/x.whl"),
        ("speck", "./rbee_speck"),
        ("speck", "-r /etc/passwd"),
        ("speck", "rbee-speck; python_version > '3'"),
        ("speck", "rbee-speck\n--index-url x"),
        ("speck", "RBEE"),
        ("../speck", "rbee-speck"),
        ("", "rbee-speck"),
    ],
)
def test_only_plain_names_are_taken(vendor: PythonWorkerVendor, worker: str, package: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        vendor.offer(worker, package)
    assert caught.value.param in {"package", "worker"}


@pytest.mark.parametrize(
    ("package", "said"),
    [("nothing", "brings no engine 'grain'"), ("rbee-speck[engine]", "brings the engines mote, speck, and no 'grain'")],
)
def test_a_package_without_the_engine_leaves_nothing(
    vendor: PythonWorkerVendor, tmp_path: Path, package: str, said: str
) -> None:
    wanted = vendor.offer("grain", package)
    assert wanted is not None
    with pytest.raises(PluginError, match=said):
        vendor.install(wanted, lambda _line: None, unmoved, Cancel())
    assert list((tmp_path / "workers").iterdir()) == []


def test_a_plugin_that_fails_to_load_says_why(vendor: PythonWorkerVendor, index: Path) -> None:
    wheels.speck(index, "import no_such_library")
    with pytest.raises(PluginError, match="'speck' failed to load: ModuleNotFoundError: No module named 'no_such_lib"):
        put(vendor)


def test_of_a_plugin_that_is_here_only_the_library_is_fetched(
    vendor: PythonWorkerVendor, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a checkout: the plugin is on no index, and what its extra names is."""
    place = tmp_path / "here"
    subprocess.run(["uv", "pip", "install", "-q", "--no-deps", "--target", str(place), "rbee-speck"], check=True)
    (index / "rbee_speck-1.0-py3-none-any.whl").unlink()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.syspath_prepend(str(place))
    before = offer(vendor)
    assert (before.installed, before.available, before.origin) == (False, False, None)
    assert "Installing speck-lib==2.5" in put(vendor)
    after = offer(vendor)
    assert (after.installed, after.available, after.version) == (True, True, "2.5")


def test_what_is_in_rbees_own_environment_is_listed_and_left_alone(
    vendor: PythonWorkerVendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "here"
    subprocess.run(
        ["uv", "pip", "install", "-q", "--no-deps", "--target", str(place), "rbee-speck", "speck-lib"], check=True
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.syspath_prepend(str(place))
    there = offer(vendor)
    assert (there.installed, there.available, there.origin) == (True, True, "rbee-speck in rbee's own environment")
    with pytest.raises(ConflictError, match=r"uv pip uninstall --python \S+ rbee-speck speck-lib"):
        vendor.remove(there, lambda _line: None, Cancel())
    assert offer(vendor) == there


async def test_what_is_not_to_be_had_is_told_with_the_command(vendor: PythonWorkerVendor, index: Path) -> None:
    for file in index.iterdir():
        file.unlink()
    catalog = WorkerCatalog([vendor])
    with pytest.raises(RbeeError, match=r"To try it by hand: \S+uv pip install --dry-run") as caught:
        await catalog.install("speck", None, lambda _line: None, unmoved)
    assert "rbee-speck" in caught.value.message
    assert not (await catalog.get("speck")).installed


@pytest.mark.parametrize("word", ["Making", "Installing"])
def test_cancelled_at_any_step_it_leaves_no_folder_and_no_process(
    vendor: PythonWorkerVendor, tmp_path: Path, word: str
) -> None:
    cancel = Cancel()

    def say(line: str) -> None:
        if line.lstrip().startswith(word):
            cancel.cancel()

    with pytest.raises(CancelledByCallerError):
        vendor.install(offer(vendor), say, unmoved, cancel)
    assert not offer(vendor).installed
    assert list((tmp_path / "workers").iterdir()) == []
    assert not [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]


def test_what_an_install_that_was_cut_off_has_left_goes_with_the_next_one(
    vendor: PythonWorkerVendor, tmp_path: Path
) -> None:
    for left in ("speck/build-dead", "lamp/build-gone"):
        (tmp_path / "workers" / left / "venv").mkdir(parents=True)
    assert not offer(vendor).installed
    put(vendor)
    assert [one.name for one in (tmp_path / "workers").iterdir()] == ["speck"]
    assert len(list((tmp_path / "workers" / "speck").glob("build-*"))) == 1
    assert offer(vendor).available


def test_what_other_vendors_keep_in_the_same_folder_is_left_alone(vendor: PythonWorkerVendor, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    vendor.keep_in(shared)
    for theirs in ("mill/build-1", "speck/build-2", "empty"):
        (shared / theirs).mkdir(parents=True)
    (shared / "mill" / "engine.json").write_text("{}")
    before = set(shared.rglob("*"))
    put(vendor)
    assert [one.name for one in (shared / "python").iterdir()] == ["speck"]
    assert "mill" not in {one.worker for one in vendor.catalog()}
    vendor.remove(offer(vendor), lambda _line: None, Cancel())
    assert set(shared.rglob("*")) == {*before, shared / "python"}


def test_an_environment_that_cannot_be_led_to_rbee_says_so_and_hides_no_other(
    vendor: PythonWorkerVendor, tmp_path: Path
) -> None:
    put(vendor)
    whole = tmp_path / "workers" / "speck"
    broken = tmp_path / "workers" / "broken"
    shutil.copytree(whole, broken, symlinks=True)
    (packages,) = broken.glob("build-*/venv/lib/*/site-packages")
    shutil.rmtree(packages)
    found = {Path(one.python).relative_to(tmp_path / "workers").parts[0]: one for one in vendor.environments()}
    assert found["speck"].reason is None
    assert "cannot be led to rbee" in found["broken"].reason
    assert (
        "rbee worker remove broken && rbee worker install broken --package 'rbee-speck[engine]'"
        in found["broken"].reason
    )


@pytest.mark.parametrize("harm", ["record", "python", "package", "older"])
def test_a_broken_environment_says_so_and_can_be_removed(vendor: PythonWorkerVendor, tmp_path: Path, harm: str) -> None:
    put(vendor)
    folder = tmp_path / "workers" / "speck"
    record = folder / "engine.json"
    (build,) = folder.glob("build-*")
    if harm == "record":
        record.write_text("{")
    elif harm == "python":
        (build / "venv" / "bin" / "python").unlink()
    elif harm == "package":
        module = next(build.rglob("rbee_speck.py"))
        module.unlink()  # uv's cache has the same file
        module.write_text("raise RuntimeError('worn out')")
    else:
        record.write_text(json.dumps({**json.loads(record.read_text()), "python": "3.9"}))
    there = offer(vendor)
    assert (there.installed, there.available) == (True, False)
    assert "anew" in there.reason
    vendor.remove(there, lambda _line: None, Cancel())
    put(vendor)
    assert offer(vendor).available


def test_an_environment_is_led_to_where_rbee_is_now(vendor: PythonWorkerVendor) -> None:
    put(vendor)
    (environment,) = vendor.environments()
    (link,) = Path(environment.python).parents[1].rglob("rbee.pth")
    told = link.read_text()
    link.write_text("import site; site.addsitedir('/where/rbee/was')\n")
    assert vendor.environments() == [environment]
    assert link.read_text() == told


def test_without_uv_it_is_told_how_to_get_it(vendor: PythonWorkerVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = offer(vendor)
    monkeypatch.setattr(type(vendor), "python", "/nowhere/bin/python")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigurationError, match="-m pip install uv"):
        vendor.install(wanted, lambda _line: None, unmoved, Cancel())


def test_an_environment_that_cannot_be_asked_says_how_to_find_out(tmp_path: Path) -> None:
    class Broken(PythonWorkerVendor):
        python: ClassVar[str] = str(tmp_path / "nothing")

    with pytest.raises(PluginError, match="To see why: "):
        Broken().catalog()


def test_an_engine_whose_lack_is_no_package_is_not_installed(vendor: PythonWorkerVendor) -> None:
    from rbee.contract import WorkerOffer

    lacking = WorkerOffer(worker="stone", vendor="python", installed=False, reason="it has no driver")
    with pytest.raises(NotFoundError, match="it has no driver"):
        vendor.install(lacking, lambda _line: None, unmoved, Cancel())
