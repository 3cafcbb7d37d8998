from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rbee.contract.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    NotFoundError,
    RateLimitedError,
)
from rbee.trust.invitations import Invitations

HALF_HOUR = timedelta(minutes=30)


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


def refusal(invitations: Invitations, token: str, name: str = "attic", key: str = "") -> str:
    with pytest.raises(AuthenticationError) as told:
        invitations.redeem(token, name, key)
    return told.value.message


def test_an_invitation_works_once(invitations: Invitations, clock: Clock) -> None:
    token, ends = invitations.invite(None, HALF_HOUR)
    assert ends == clock.at + HALF_HOUR
    assert invitations.redeem(token, "attic")
    assert "rbee hive invite" in refusal(invitations, token)


def test_who_guesses_is_told_the_same_whatever_is_wrong(invitations: Invitations, clock: Clock) -> None:
    used, _ = invitations.invite(None, HALF_HOUR)
    invitations.redeem(used, "attic")
    named, _ = invitations.invite("cellar", HALF_HOUR)
    ended, _ = invitations.invite(None, timedelta(minutes=1))
    clock.at += timedelta(minutes=2)
    told = {refusal(invitations, token) for token in (used, named, ended, "never given", "")}
    assert len(told) == 1
    assert invitations.redeem(named, "cellar")


def test_it_outlives_a_restart_and_its_token_is_nowhere_on_the_disk(
    invitations: Invitations, tmp_path: Path, clock: Clock
) -> None:
    token, _ = invitations.invite("attic", HALF_HOUR)
    (path,) = (tmp_path / "ca").iterdir()
    assert token.encode() not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Invitations(tmp_path / "ca", clock)
    assert again.redeem(token, "attic")
    refusal(Invitations(tmp_path / "ca", clock), token)


def test_who_guesses_is_stopped_and_nobody_else(invitations: Invitations, clock: Clock) -> None:
    token, _ = invitations.invite(None, HALF_HOUR)
    for number in range(20):
        with pytest.raises(AuthenticationError):
            invitations.redeem(f"guess {number}", "attic", caller="192.0.2.1")
    with pytest.raises(RateLimitedError):
        invitations.redeem(token, "attic", caller="192.0.2.1")
    assert invitations.redeem(token, "attic", caller="192.0.2.2")
    clock.at += timedelta(minutes=1)
    with pytest.raises(AuthenticationError):
        invitations.redeem(token, "attic", caller="192.0.2.1")


def test_an_invitation_for_any_name_takes_no_hives_place(invitations: Invitations) -> None:
    free, _ = invitations.invite(None, HALF_HOUR)
    named, _ = invitations.invite("attic", HALF_HOUR)
    with pytest.raises(ConflictError, match="--name attic"):
        invitations.redeem(free, "attic", taken=lambda name: name == "attic")
    # It costs nothing, and one for that name does.
    assert invitations.redeem(free, "cellar", taken=lambda name: name == "attic")
    assert invitations.redeem(named, "attic", taken=lambda name: name == "attic")


def test_who_is_to_be_approved_waits_and_asks_again(invitations: Invitations, tmp_path: Path, clock: Clock) -> None:
    token, _ = invitations.invite(None, HALF_HOUR)
    assert not invitations.redeem(token, "attic", "SHA256:a", approve=True)
    clock.at += timedelta(hours=2)
    # It waits longer than an invitation holds, also over a restart.
    again = Invitations(tmp_path / "ca", clock)
    assert not again.redeem(token, "attic", "SHA256:a", approve=True)
    (waiting,) = again.waiting()
    assert (waiting.name, waiting.key, waiting.since) == ("attic", "SHA256:a", clock.at - timedelta(hours=2))
    again.answer("attic", None, approved=True)
    assert again.waiting() == []
    assert again.redeem(token, "attic", "SHA256:a", approve=True)
    refusal(again, token, key="SHA256:a")


def test_nobody_else_comes_by_an_invitation_that_was_shown(invitations: Invitations) -> None:
    token, _ = invitations.invite(None, HALF_HOUR)
    invitations.redeem(token, "attic", "SHA256:a", approve=True)
    invitations.answer("attic", None, approved=True)
    refusal(invitations, token, "attic", "SHA256:b")
    refusal(invitations, token, "cellar", "SHA256:a")
    assert invitations.redeem(token, "attic", "SHA256:a", approve=True)


def test_who_is_sent_away_is_not_invited_any_more(invitations: Invitations) -> None:
    token, _ = invitations.invite(None, HALF_HOUR)
    invitations.redeem(token, "attic", "SHA256:a", approve=True)
    invitations.answer("attic", "SHA256:a", approved=False)
    refusal(invitations, token, key="SHA256:a")
    with pytest.raises(NotFoundError, match="rbee hive approve"):
        invitations.answer("attic", None, approved=True)


def test_of_two_by_one_name_the_key_chooses(invitations: Invitations) -> None:
    for key in ("SHA256:a", "SHA256:b"):
        invitations.redeem(invitations.invite(None, HALF_HOUR)[0], "attic", key, approve=True)
    with pytest.raises(ConflictError, match=r"SHA256:a, SHA256:b"):
        invitations.answer("attic", None, approved=True)
    assert invitations.answer("attic", "SHA256:b", approved=True).key == "SHA256:b"


def test_an_invitation_that_was_approved_with_its_making_needs_no_more(invitations: Invitations) -> None:
    token, _ = invitations.invite("attic", HALF_HOUR, approved=True)
    assert invitations.redeem(token, "attic", "SHA256:a", approve=True)


def test_so_many_are_open_at_most(invitations: Invitations, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr("rbee.trust.invitations._MOST_OPEN", 2)
    invitations.invite(None, HALF_HOUR)
    invitations.invite(None, HALF_HOUR)
    with pytest.raises(ConflictError):
        invitations.invite(None, HALF_HOUR)
    clock.at += HALF_HOUR
    invitations.invite(None, HALF_HOUR)


@pytest.mark.parametrize("content", [b"nonsense", b'[{"digest": 1}]', b"{}"])
def test_a_damaged_file_is_named(tmp_path: Path, clock: Clock, content: bytes) -> None:
    Invitations(tmp_path, clock).invite(None, HALF_HOUR)
    (tmp_path / "invitations.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"invitations\.json.*Remove it"):
        Invitations(tmp_path, clock).redeem("x", "attic")
