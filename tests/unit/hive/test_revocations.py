"""What a hive is told of certificates that hold no more, its workers know."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest
from rbee.hive.certificates import WorkerCertificates
from rbee.hive.revocations import Revocations
from rbee.trust.authority import Authority
from rbee.trust.identity import Identity
from rbee.trust.names import Role
from rbee.trust.renewal import Renewed


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "ca")
    made.open()
    return made


def workers_of(folder: Path, authority: Authority) -> WorkerCertificates:
    async def ask(worker_id: str, request: bytes) -> Renewed:
        made = authority.issue(request, Role.WORKER, worker_id, (), timedelta(days=1), hive="attic")
        return Renewed(made.certificate, authority.roots_pem(), authority.issued.revoked())

    return WorkerCertificates(folder, ask)


async def test_workers_are_told_and_new_ones_know(tmp_path: Path, authority: Authority) -> None:
    certificates = workers_of(tmp_path / "identities", authority)
    first = Identity(await certificates.make("w1"))
    revocations = Revocations([tmp_path / "identity", tmp_path / "identities"])
    revocations.heard(("ff", "a"))
    assert first.revoked == {255, 10}
    revocations.heard(())
    assert first.revoked == frozenset()
    authority.issued.revoke(Role.WORKER, "w1", "")
    second = Identity(await certificates.make("w2"))
    assert second.revoked == {first.peer.serial}


async def test_what_was_said_before_is_not_written_again(tmp_path: Path, authority: Authority) -> None:
    identity = Identity(await workers_of(tmp_path / "identities", authority).make("w1"))
    revocations = Revocations([tmp_path / "identities"])
    revocations.heard(("ff",))
    (identity.folder / "revoked.json").unlink()
    revocations.heard(("ff",))
    assert identity.revoked == frozenset()


def test_on_loopback_nobody_is_told(tmp_path: Path) -> None:
    Revocations([]).heard(("ff",))
    assert not list(tmp_path.iterdir())


async def test_nonsense_is_told_in_the_log_and_a_damaged_file_is_written_anew(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    identity = Identity(await workers_of(tmp_path / "identities", authority).make("w1"))
    revocations = Revocations([tmp_path / "identities"])
    with caplog.at_level(logging.WARNING):
        revocations.heard(("nonsense",))
    assert len(caplog.records) == 1
    revocations.heard(("a",))
    (identity.folder / "revoked.json").write_bytes(b"junk")
    revocations.heard(("ff",))
    assert identity.revoked == {255}
