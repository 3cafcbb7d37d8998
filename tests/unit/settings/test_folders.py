"""Where files are."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from rbee.contract.errors import ConfigurationError
from rbee.settings import Folders


def all_of(folders: Folders) -> list[Path]:
    return [folders.config, folders.home, folders.data, folders.models, folders.state, folders.logs]


def test_rbee_home_holds_everything(tmp_path: Path) -> None:
    folders = Folders.locate({"RBEE_HOME": str(tmp_path / "h")})
    files = [*all_of(folders), folders.config_file, folders.token_file]
    assert all(path.is_relative_to(tmp_path / "h") for path in files)


def test_without_it_the_folders_are_the_systems_own() -> None:
    folders = Folders.locate({})
    assert folders.home == Path.home() / ".rbee"
    assert all(path.is_absolute() for path in all_of(folders))


def test_a_relative_home_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'some/where'"):
        Folders.locate({"RBEE_HOME": "some/where"})


def test_made_folders_are_for_this_user_alone_and_making_them_twice_is_harmless(tmp_path: Path) -> None:
    folders = Folders.locate({"RBEE_HOME": str(tmp_path / "h")})
    folders.make()
    folders.make()
    assert {stat.S_IMODE(path.stat().st_mode) for path in all_of(folders)} == {0o700}


@pytest.mark.parametrize("blocked", ["config", "data", "state", "data/models", "state/logs"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, blocked: str) -> None:
    path = tmp_path / blocked
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file is in the way", encoding="ascii")
    with pytest.raises(ConfigurationError, match=f"'{path}'.*RBEE_HOME"):
        Folders.locate({"RBEE_HOME": str(tmp_path)}).make()
