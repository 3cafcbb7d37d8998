"""Machines over a real SSH server: entered with a connection and looked at, with and without a queen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rbee.testing.colony import Home
from rbee.testing.sshd import Sshd, running_sshd, why_no_sshd

ONLY = ("--ssh-host", "127.0.0.1", "--jump", "none")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if (why := why_no_sshd()) is not None:
        pytest.skip(why)
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def _add(_home: Home, sshd: Sshd, *more: str, user: str | None = None) -> tuple[str, ...]:
    place = ("--ssh-port", str(sshd.port), "--identity", str(sshd.key), *ONLY)
    return ("hive", "add", f"{user or sshd.user}@box", *place, *more)


def _names(home: Home) -> list[str]:
    return [one["node_name"] for one in json.loads(home.cli("hive", "ls", "--json").stdout)["nodes"]]


def test_a_machine_is_added_without_a_queen_once_its_key_is_agreed_on(home: Home, sshd: Sshd) -> None:
    refused = home.cli(*_add(home, sshd))
    assert refused.returncode == 1
    assert f"rbee hive add box --accept-fingerprint {sshd.fingerprint}" in " ".join(refused.stderr.split())
    assert _names(home) == []

    stranger = home.cli(*_add(home, sshd, "--accept-fingerprint", user="nobody-here"))
    assert stranger.returncode == 1
    assert "ssh-add" in stranger.stderr
    assert _names(home) == []

    added = home.cli(*_add(home, sshd, "--accept-fingerprint", sshd.fingerprint, "--label", "gpu=none"))
    assert added.returncode == 0, added.stderr
    assert "connection: " in added.stdout
    assert "Connecting to box" in added.stderr
    assert _names(home) == ["box"]

    looked = home.cli("hive", "doctor", "box", "--json")
    (told,) = json.loads(looked.stdout)
    assert told["fingerprint"] == sshd.fingerprint
    assert told["look"]["home"] == str(sshd.home)


def test_the_queen_does_it_where_she_runs(colony: Home, sshd: Sshd, tmp_path: Path) -> None:
    refused = colony.cli(*_add(colony, sshd))
    assert refused.returncode == 1
    assert sshd.fingerprint in refused.stderr
    assert _names(colony) == []

    added = colony.cli(*_add(colony, sshd, "--accept-fingerprint", sshd.fingerprint, "--json"))
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["added"] == ["box"]

    with running_sshd(tmp_path / "other") as other:
        moved = ("hive", "add", "box", "--update", "--ssh-port", str(other.port), "--host-key", sshd.fingerprint)
        assert colony.cli(*moved).returncode == 0
        looked = colony.cli("hive", "doctor", "--all")
        assert looked.returncode == 1
        assert f"rbee hive add box --accept-fingerprint {other.fingerprint}" in " ".join(looked.stdout.split())
        unknown = colony.cli("hive", "doctor", "nowhere")
        assert unknown.returncode == 1
        assert "'nowhere'" in unknown.stderr
    assert colony.cli("hive", "rm", "box").returncode == 0
