"""Checks of a machine on which nothing runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rbee.cli.checks.machine import machine
from rbee.cli.context import Context
from rbee.contract.checks import Check


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("RBEE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RBEE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def look(overrides: dict[str, str] | None = None) -> dict[str, Check]:
    return {check.name: check for check in machine(Context(overrides or {}))}


def test_a_fresh_machine_is_in_order_and_nothing_is_made(home: Path) -> None:
    found = look()
    assert {check.status for name, check in found.items() if name not in {"disk", "open files"}} == {"ok"}
    assert "first start" in found["token"].detail
    assert not home.exists()


def test_a_home_that_is_used_is_in_order(home: Path) -> None:
    context = Context({})
    context.folders.make()
    context.make_token()
    found = look()
    assert (found["folders"].status, found["token"].status) == ("ok", "ok")
    assert context.token() not in str(found)


def test_a_token_that_others_can_read_fails_with_the_command(home: Path) -> None:
    context = Context({})
    context.make_token()
    context.folders.token_file.chmod(0o644)
    assert look()["token"].status == "fail"
    assert "chmod 600" in look()["token"].detail


@pytest.mark.parametrize("content", [b"", b"short\n", b"\x00\xff" * 20])
def test_a_token_that_is_none_fails(home: Path, content: bytes) -> None:
    context = Context({})
    context.make_token()
    context.folders.token_file.write_bytes(content)
    assert look()["token"].status == "fail"


def test_a_folder_that_is_open_to_others_is_a_warning(home: Path) -> None:
    context = Context({})
    context.folders.make()
    context.folders.state.chmod(0o755)
    found = look()["folders"]
    assert found.status == "warn"
    assert found.remedy == f"chmod 700 '{context.folders.state}'"


def test_a_file_in_the_place_of_a_folder_fails(home: Path) -> None:
    home.write_text("")
    assert look()["folders"].status == "fail"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[queen]\nport = 'x'\n", "queen.port"),
        (b"[queen]\nprot = 1\n", "queen.prot"),
        (b"[queen\n", "line 1"),
        (b"\xff\xfe\x00", "not a text file in UTF-8"),
    ],
)
def test_a_wrong_setting_fails_and_its_place_is_named(home: Path, content: bytes, told: str) -> None:
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.toml").write_bytes(content)
    found = look()["settings"]
    assert found.status == "fail"
    assert told in found.detail
    assert "config.toml" in found.detail


def test_a_wrong_setting_of_the_command_line_is_named(home: Path) -> None:
    assert "the command line" in look({"queen.port": "-1"})["settings"].detail


def test_without_a_usable_home_the_rest_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RBEE_HOME", "not/absolute")
    found = look()
    assert found["rbee"].status == "ok"
    assert found["folders"].status == "fail"
