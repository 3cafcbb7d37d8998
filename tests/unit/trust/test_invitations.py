from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rbee.contract.errors import AuthenticationError, ConfigurationError, RateLimitedError
from rbee.trust.invitations import Invitations

HALF_AN_HOUR = timedelta(minutes=30)


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 11, 27, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def invitations(tmp_path: Path, clock: Clock) -> Invitations:
    return Invitations(tmp_path / "ca", clock)


def test_an_invitation_works_once(invitations: Invitations) -> None:
    token, _ = invitations.invite(None, HALF_AN_HOUR)
    invitations.redeem(token, "attic")
    with pytest.raises(AuthenticationError, match="rbee hive invite"):
        invitations.redeem(token, "attic")


def test_it_does_not_work_again_after_a_restart(invitations: Invitations, tmp_path: Path, clock: Clock) -> None:
    used, _ = invitations.invite(None, HALF_AN_HOUR)
    unused, _ = invitations.invite(None, HALF_AN_HOUR)
    invitations.redeem(used, "attic")
    again = Invitations(tmp_path / "ca", clock)
    with pytest.raises(AuthenticationError):
        again.redeem(used, "attic")
    again.redeem(unused, "attic")


def test_it_ends(invitations: Invitations, clock: Clock) -> None:
    token, expires_at = invitations.invite(None, HALF_AN_HOUR)
    assert expires_at == clock.at + HALF_AN_HOUR
    clock.at = expires_at
    with pytest.raises(AuthenticationError):
        invitations.redeem(token, "attic")


def test_one_for_a_name_is_for_no_other_and_stays_open_for_its_own(invitations: Invitations) -> None:
    token, _ = invitations.invite("attic", HALF_AN_HOUR)
    with pytest.raises(AuthenticationError):
        invitations.redeem(token, "cellar")
    invitations.redeem(token, "attic")


def test_the_token_itself_is_kept_nowhere(invitations: Invitations, tmp_path: Path) -> None:
    token, _ = invitations.invite("attic", HALF_AN_HOUR)
    assert all(token.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_who_guesses_is_not_heard_for_a_while_and_neither_is_anybody_else(
    invitations: Invitations, clock: Clock
) -> None:
    token, _ = invitations.invite(None, HALF_AN_HOUR)
    for _ in range(20):
        with pytest.raises(AuthenticationError):
            invitations.redeem("guessed", "attic")
    with pytest.raises(RateLimitedError):
        invitations.redeem(token, "attic")
    clock.at += timedelta(minutes=1)
    invitations.redeem(token, "attic")


def test_a_damaged_file_is_named_with_what_to_do(invitations: Invitations, tmp_path: Path, clock: Clock) -> None:
    invitations.invite(None, HALF_AN_HOUR)
    (tmp_path / "ca" / "invitations.json").write_bytes(b"{")
    with pytest.raises(ConfigurationError, match=r"invitations\.json.*Remove it"):
        Invitations(tmp_path / "ca", clock).redeem("x", "attic")
