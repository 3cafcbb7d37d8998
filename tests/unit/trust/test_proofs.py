from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rbee.contract.errors import AuthenticationError
from rbee.trust.authority import Authority
from rbee.trust.certificates import Key, make_request, new_key
from rbee.trust.names import Role
from rbee.trust.proofs import check_proof, key_of_request, prove

DAY = timedelta(days=1)
WEEK = timedelta(days=7)


class Case:
    """A hive whose certificate ended a day ago."""

    def __init__(self, folder: Path) -> None:
        self.at = datetime(2026, 11, 27, tzinfo=UTC)
        self.authority = Authority(folder, lambda: self.at)
        self.authority.open()
        self.key: Key = new_key()
        self.certificate = self.authority.issue(make_request(self.key), Role.HIVE, "attic", [], DAY).certificate
        self.request = make_request(new_key())
        self.at += 2 * DAY

    def check(self, certificate: bytes | None = None, proof: str | None = None, grace: timedelta = WEEK) -> str:
        shown = self.certificate if certificate is None else certificate
        told = prove(self.key, self.request) if proof is None else proof
        return check_proof(self.authority, shown, self.request, told, self.at, grace).id


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path / "ca")


def test_who_has_the_key_is_who_the_certificate_says(case: Case) -> None:
    assert case.check() == "attic"


def test_who_comes_too_late_is_refused(case: Case) -> None:
    case.at += WEEK
    with pytest.raises(AuthenticationError, match="rbee hive invite"):
        case.check()


def test_who_was_revoked_is_refused(case: Case) -> None:
    case.authority.issued.revoke(Role.HIVE, "attic", "")
    with pytest.raises(AuthenticationError):
        case.check()


def test_who_has_another_key_or_proves_another_request_is_refused(case: Case) -> None:
    for proof in (
        prove(new_key(), case.request),
        prove(case.key, make_request(new_key())),
        "",
        "nonsense!",
        "AAAA",
    ):
        with pytest.raises(AuthenticationError):
            case.check(proof=proof)


def test_a_strangers_certificate_is_refused(case: Case, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    other.open()
    for shown in (
        other.issue(make_request(case.key), Role.HIVE, "attic", [], DAY).certificate,
        b"",
        b"nonsense",
        b"x" * 100_000,
    ):
        with pytest.raises(AuthenticationError):
            case.check(shown)


def test_what_was_never_written_down_is_refused(case: Case) -> None:
    case.authority.issued.clear()
    with pytest.raises(AuthenticationError):
        case.check()


def test_an_authority_that_was_given_up_renews_nothing(case: Case) -> None:
    case.authority.rotate(DAY, at_once=True)
    with pytest.raises(AuthenticationError):
        case.check()


def test_people_tell_machines_apart_by_their_keys() -> None:
    key = new_key()
    assert key_of_request(make_request(key)) == key_of_request(make_request(key))
    assert key_of_request(make_request(key)) != key_of_request(make_request(new_key()))
    assert key_of_request(make_request(key)).startswith("SHA256:")
