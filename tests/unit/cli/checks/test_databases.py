"""Data bases looked at as files."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from rbee.cli.checks import databases as module
from rbee.cli.checks.databases import databases
from rbee.cli.context import Context
from rbee.contract.checks import Check


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("RBEE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RBEE_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "data" / "models").mkdir(parents=True)
    return tmp_path / "home"


def look(overrides: dict[str, str] | None = None) -> dict[str, Check]:
    return {check.name: check for check in databases(Context(overrides or {}))}


def fill(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (x TEXT)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 100)
        connection.commit()
    return path


def test_a_home_without_any_tells_nothing(home: Path) -> None:
    assert look() == {}
    assert [one.name for one in home.iterdir()] == ["data"]


def test_sound_ones_are_named_and_left_as_they_are(home: Path) -> None:
    queen = fill(home / "queen.db")
    fill(home / "data" / "models" / "catalog.db")
    before = queen.read_bytes()
    found = look()
    assert {name: check.status for name, check in found.items()} == {"data bases": "ok"}
    assert found["data bases"].detail == "queen.db, catalog.db"
    assert queen.read_bytes() == before
    assert sorted(one.name for one in home.iterdir()) == ["data", "queen.db"]


def test_one_that_a_program_writes_to_is_read_beside_it(home: Path) -> None:
    path = fill(home / "queen.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM t")
        assert look()["data bases"].detail == "queen.db"
        connection.execute("COMMIT")


@pytest.mark.parametrize("name", ["queen.db", "beehives.db", "data/models/catalog.db"])
def test_one_that_is_no_data_base_fails_with_what_is_lost_and_what_helps(home: Path, name: str) -> None:
    path = home / name
    path.write_bytes(b"garbage " * 1000)
    check = look()[f"data base {path.name}"]
    assert (check.status, "file is not a database" in check.detail) == ("fail", True)
    assert check.remedy is not None
    assert f"mv {path} {path}.damaged" in check.remedy
    assert "is then empty" in check.remedy


def test_one_with_damaged_pages_fails(home: Path) -> None:
    path = fill(home / "queen.db")
    content = bytearray(path.read_bytes())
    content[8192:16384] = b"\xff" * 8192
    path.write_bytes(content)
    assert look()["data base queen.db"].status == "fail"


def test_a_folder_in_its_place_fails(home: Path) -> None:
    (home / "beehives.db").mkdir()
    assert look()["data base beehives.db"].status == "fail"


def test_one_that_is_large_is_not_read_through(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "queen.db").write_bytes(b"garbage " * 1000)
    monkeypatch.setattr(module, "_LARGEST", 1000)
    assert look()["data bases"].detail == "queen.db (too large to be read through)"


def test_the_list_of_hives_is_looked_for_where_the_settings_put_it(home: Path, tmp_path: Path) -> None:
    (tmp_path / "other.db").write_bytes(b"garbage " * 1000)
    (home / "beehives.db").write_bytes(b"garbage " * 1000)
    assert set(look({"queen.beehives_url": f"sqlite:///{tmp_path}/other.db"})) == {"data base other.db"}
    assert look({"queen.beehives_url": "postgresql://u@h/n"}) == {}
