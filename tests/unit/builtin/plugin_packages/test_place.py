"""An environment that cannot be changed is told before anything is asked or fetched."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from rbee.builtin.plugin_packages.place import Place, changeable, place
from rbee.contract.errors import ConfigurationError


def at(folder: Path, *, managed: bool = False) -> Place:
    return Place(python="/usr/bin/python3", prefix=folder, packages=(folder,), scripts=folder, managed=managed)


def test_the_environment_of_this_program_is_found() -> None:
    found = place()
    assert Path(found.python) == Path(sys.executable)
    assert found.prefix == Path(sys.prefix)
    assert found.scripts.samefile(Path(sys.executable).parent)
    assert any((folder / "msgspec").is_dir() for folder in found.packages)
    assert not found.managed


def test_one_that_takes_files_will_do(tmp_path: Path) -> None:
    assert changeable(at(tmp_path)) == at(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_system_s_own_is_refused_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"PEP 668.*/usr/bin/python3 -m venv"):
        changeable(at(tmp_path, managed=True))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no folder that takes no files, not even of root")
def test_one_that_takes_no_files_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'/proc/self' takes no files"):
        changeable(at(Path("/proc/self")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_somebody_else_s_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match=r"takes no files \(Permission denied\)"):
        changeable(at(tmp_path))
