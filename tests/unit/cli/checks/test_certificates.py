"""Checks of a home's certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from rbee.cli.checks.certificates import certificates
from rbee.contract.checks import Check
from rbee.settings import Folders, Settings
from rbee.settings.model import ServerSettings
from rbee.trust.authority import Authority
from rbee.trust.identity import Identity
from rbee.trust.names import Role
from unit.trust.test_operators import NAME, bring


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders.locate({"RBEE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)})


def joined(folders: Folders, lifetime: timedelta) -> Identity:
    authority = Authority(folders.config / "ca")
    authority.open()
    made = Identity(folders.config / "identity")
    key, request = made.ask()
    made.take(key, authority.issue(request, Role.HIVE, "attic", [], lifetime).certificate, authority.roots_pem())
    return made


def look(folders: Folders, settings: Settings | None = None, later: timedelta = timedelta()) -> dict[str, Check]:
    now = datetime.now(UTC) + later
    return {check.name: check for check in certificates(folders, settings or Settings(), now)}


def test_a_home_that_speaks_no_tls_has_none_and_none_is_made(folders: Folders) -> None:
    assert look(folders) == {}
    assert not folders.config.exists()


def test_a_joined_machine_is_told_as_whom_and_until_when(folders: Folders) -> None:
    joined(folders, timedelta(days=1))
    found = look(folders)
    assert {name: one.status for name, one in found.items()} == {"authority": "ok", "certificate": "ok"}
    assert "hive 'attic', until" in found["certificate"].detail


def test_one_that_has_ended_a_while_ago_is_renewed_by_the_next_start(folders: Folders) -> None:
    joined(folders, timedelta(days=1))
    found = look(folders, later=timedelta(days=2))["certificate"]
    assert (found.status, "renews it when it is started" in found.detail) == ("ok", True)


def test_one_that_has_ended_too_long_ago_fails_with_the_remedy(folders: Folders) -> None:
    joined(folders, timedelta(days=1))
    found = look(folders, later=timedelta(days=30))["certificate"]
    assert (found.status, "rbee hive invite" in (found.remedy or "")) == ("fail", True)


@pytest.mark.parametrize(("years", "status"), [(9.9, "warn"), (11, "fail")])
def test_an_authority_that_ends_is_told_with_the_command(folders: Folders, years: float, status: str) -> None:
    joined(folders, timedelta(days=1))
    found = look(folders, later=timedelta(days=365 * years))["authority"]
    assert (found.status, "rbee ca rotate" in (found.remedy or "")) == (status, True)


def test_one_that_was_revoked_fails(folders: Folders) -> None:
    made = joined(folders, timedelta(days=1))
    made.revoke(frozenset({made.peer.serial}))
    assert "revoked" in look(folders)["certificate"].detail


def test_a_damaged_one_fails_with_the_file(folders: Folders) -> None:
    joined(folders, timedelta(days=1))
    (folders.config / "identity" / "identity.pem").write_bytes(b"gone")
    assert look(folders)["certificate"].status == "fail"
    assert "identity.pem" in look(folders)["certificate"].detail


@pytest.mark.parametrize(("days", "status"), [(60, "ok"), (5, "warn"), (-1, "fail")])
def test_what_the_operator_has_brought_is_looked_at(folders: Folders, tmp_path: Path, days: int, status: str) -> None:
    own = bring(tmp_path / "own", days=days)
    server = ServerSettings(tls_certificate=str(own.certificate), tls_key=str(own.key))
    found = look(folders, Settings(server=server))["own certificate"]
    assert found.status == status
    assert (NAME in found.detail) is (days > 0)
    half = msgspec.structs.replace(server, tls_key=None)
    assert "server.tls_key is not" in look(folders, Settings(server=half))["own certificate"].detail
