from __future__ import annotations

import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rbee.contract.errors import ConfigurationError, ConflictError, NotFoundError
from rbee.trust import issued
from rbee.trust.issued import Entry, IssuedCertificates
from rbee.trust.names import Role

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 11, 27, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(tmp_path: Path, clock: Clock) -> IssuedCertificates:
    return IssuedCertificates(tmp_path / "ca", clock)


Enter = Callable[..., None]


@pytest.fixture
def enter(made: IssuedCertificates, clock: Clock) -> Enter:
    def entered(
        serial: int, role: Role = Role.HIVE, subject: str = "attic", hive: str | None = None, lifetime: timedelta = DAY
    ) -> None:
        made.enter(
            Entry(
                serial=serial, role=role, subject=subject, hive=hive, issued_at=clock.at, expires_at=clock.at + lifetime
            )
        )

    return entered


def test_before_anything_is_signed_there_is_no_file(made: IssuedCertificates, tmp_path: Path) -> None:
    assert (made.revoked(), made.newest(5), made.find(1), made.holds(Role.HIVE, "a")) == (frozenset(), [], None, False)
    assert not (tmp_path / "ca").exists()


def test_the_newest_of_each_program_is_listed(made: IssuedCertificates, enter: Enter, clock: Clock) -> None:
    enter(1)
    clock.at += HOUR
    enter(2)
    enter(2**159 + 1, Role.WORKER, "w/1", "attic")
    assert [(one.role, one.subject, one.serial, one.hive) for one in made.newest(5)] == [
        (Role.HIVE, "attic", 2, None),
        (Role.WORKER, "w/1", 2**159 + 1, "attic"),
    ]
    assert len(made.newest(1)) == 1
    found = made.find(1)
    assert found is not None
    assert (found.issued_at, found.expires_at) == (clock.at - HOUR, clock.at - HOUR + DAY)


def test_a_hive_is_revoked_with_its_workers_and_nobody_else(made: IssuedCertificates, enter: Enter) -> None:
    enter(1)
    enter(2)
    enter(3, Role.WORKER, "w1", "attic")
    enter(4, Role.WORKER, "w2", "cellar")
    enter(5, Role.HIVE, "cellar")
    enter(6, Role.WORKER, "attic", "cellar")
    assert sorted(made.revoke(Role.HIVE, "attic", "sold")) == [1, 2, 3]
    assert made.revoked() == {1, 2, 3}
    assert not made.holds(Role.HIVE, "attic")
    assert made.holds(Role.HIVE, "cellar")
    found = made.find(3)
    assert found is not None
    assert found.reason == "sold"
    with pytest.raises(NotFoundError, match="rbee ca show"):
        made.revoke(Role.HIVE, "attic", "")


def test_who_joins_again_is_believed_again(made: IssuedCertificates, enter: Enter) -> None:
    enter(1)
    made.revoke(Role.HIVE, "attic", "")
    enter(2)
    assert made.holds(Role.HIVE, "attic")
    assert made.revoked() == {1}
    assert [(one.serial, one.revoked_at) for one in made.newest(5)] == [(2, None)]


def test_what_another_process_revokes_is_known_at_once(
    made: IssuedCertificates, enter: Enter, tmp_path: Path, clock: Clock
) -> None:
    enter(1)
    assert made.revoked() == frozenset()
    IssuedCertificates(tmp_path / "ca", clock).revoke(Role.HIVE, "attic", "")
    assert made.revoked() == {1}
    # What has not changed is the same object: who passes it on need not look into it.
    assert made.revoked() is made.revoked()


def test_what_has_ended_is_told_no_more_and_forgotten_late(
    made: IssuedCertificates, enter: Enter, clock: Clock
) -> None:
    enter(1)
    enter(2, lifetime=2 * DAY)
    enter(3, Role.WORKER, "w1", "attic")
    made.revoke(Role.HIVE, "attic", "")
    clock.at += DAY + HOUR
    assert made.revoked() == {2}
    enter(4, Role.HIVE, "cellar")
    clock.at += HOUR
    enter(5, Role.HIVE, "cellar")
    assert made.find(3) is None
    assert made.find(1) is not None
    clock.at += issued.LONGEST_GRACE + DAY
    enter(6, Role.HIVE, "cellar")
    assert made.find(1) is None


def test_more_than_all_can_be_told_of_are_not_revoked(
    made: IssuedCertificates, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issued, "MOST_REVOKED", 2)
    for serial in range(3):
        enter(serial + 1)
    with pytest.raises(ConflictError, match="rotate --at-once"):
        made.revoke(Role.HIVE, "attic", "")
    assert made.revoked() == frozenset()


def test_a_damaged_list_is_named_and_never_set_aside(made: IssuedCertificates, enter: Enter, tmp_path: Path) -> None:
    enter(1)
    path = tmp_path / "ca" / "issued.db"
    path.write_bytes(b"nonsense" * 1000)
    for ask in (made.revoked, lambda: enter(2), lambda: made.newest(1)):
        with pytest.raises(ConfigurationError, match=r"issued\.db.*rotate --at-once"):
            ask()
    assert path.read_bytes().startswith(b"nonsense")


def test_a_list_that_cannot_be_written_now_is_not_called_damaged(
    made: IssuedCertificates, enter: Enter, tmp_path: Path
) -> None:
    enter(1)
    path = tmp_path / "ca" / "issued.db"
    path.rename(tmp_path / "aside")
    path.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be used now") as told:
        enter(2)
    assert "rotate" not in told.value.message


def test_the_file_is_for_this_user_alone(enter: Enter, tmp_path: Path) -> None:
    enter(1)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "ca").iterdir()} == {0o600}


def test_many_at_once_are_all_entered(made: IssuedCertificates, enter: Enter) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda serial: enter(serial, Role.WORKER, f"w{serial}", "attic"), range(1, 41)))
    assert len(made.newest(100)) == 40


def test_who_was_put_out_is_told_from_one_whose_certificate_has_ended(
    made: IssuedCertificates, enter: Enter, clock: Clock
) -> None:
    assert not made.was_put_out(Role.HIVE, "attic")
    enter(1)
    clock.at += 2 * DAY
    assert (made.holds(Role.HIVE, "attic"), made.was_put_out(Role.HIVE, "attic")) == (False, False)
    enter(2)
    made.revoke(Role.HIVE, "attic", "")
    assert made.was_put_out(Role.HIVE, "attic")
    clock.at += HOUR
    enter(3)
    assert not made.was_put_out(Role.HIVE, "attic")
