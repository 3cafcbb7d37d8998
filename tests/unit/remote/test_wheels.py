from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest
from rbee.contract.errors import ConfigurationError
from rbee.remote.wheels import python_of, repacked


@pytest.mark.parametrize("name", ["pluggy", "msgspec"])
def test_a_wheel_that_was_made_of_what_is_installed_installs_to_the_same(tmp_path: Path, name: str) -> None:
    wheel = repacked(distribution(name), tmp_path)
    with zipfile.ZipFile(wheel) as found:
        assert found.testzip() is None
        found.extractall(tmp_path / "into")
    (again,) = distributions(path=[str(tmp_path / "into")])
    assert (again.metadata["Name"], again.version) == (name, distribution(name).version)
    for path in again.files or ():
        if path.name != "RECORD":
            assert path.hash is not None
            assert path.read_binary() == Path(distribution(name).locate_file(path)).read_bytes()  # type: ignore[arg-type]
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import {name}; print({name}.__file__)"
    said = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path / "into")], capture_output=True, text=True, check=True
    )
    assert str(tmp_path / "into") in said.stdout


def test_the_same_files_make_the_same_wheel_and_one_that_is_there_is_taken(tmp_path: Path) -> None:
    first = repacked(distribution("pluggy"), tmp_path / "a")
    second = repacked(distribution("pluggy"), tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    before = first.stat().st_mtime_ns
    assert repacked(distribution("pluggy"), tmp_path / "a").stat().st_mtime_ns == before


def test_what_the_installer_wrote_about_its_own_work_is_left_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(repacked(distribution("pluggy"), tmp_path)) as found:
        names = {Path(one).name for one in found.namelist()}
    assert not names & {"INSTALLER", "REQUESTED", "direct_url.json"}
    assert {"METADATA", "WHEEL", "RECORD"} <= names


def test_a_package_that_is_not_whole_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(repacked(distribution("pluggy"), tmp_path)) as found:
        found.extractall(tmp_path / "into")
    (tmp_path / "into" / "pluggy" / "_hooks.py").unlink()
    (broken,) = distributions(path=[str(tmp_path / "into")])
    with pytest.raises(ConfigurationError, match=r"'pluggy'.*_hooks\.py"):
        repacked(broken, tmp_path / "again")
    assert list((tmp_path / "again").iterdir()) == []


@pytest.mark.parametrize(
    ("wheel", "python"),
    [
        ("a-1-py3-none-any.whl", None),
        ("a-1-py2.py3-none-any.whl", None),
        ("a-1-cp39-abi3-manylinux_2_28_x86_64.whl", None),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "3.11"),
    ],
)
def test_for_which_python_a_wheel_is(wheel: str, python: str | None) -> None:
    assert python_of(wheel) == python
