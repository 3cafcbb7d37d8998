"""Invitations into the colony: tokens that work once and not for long.  Only what they hash to is kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from rbee.contract.errors import AuthenticationError, ConfigurationError, ConflictError, RateLimitedError
from rbee.trust.private import make_folder, read_private, write_private

_FILE = "invitations.json"
_MOST_OPEN = 1000
_TRIES, _WITHIN = 20, timedelta(minutes=1)
"""Wrong tokens taken in that time: nobody guesses 256 bits, and nobody is to fill a log."""


class _Invitation(msgspec.Struct, frozen=True, kw_only=True):
    digest: str
    expires_at: datetime
    name: str | None = None


def _now() -> datetime:
    return datetime.now(UTC)


class Invitations:
    """Kept in a file, so that they outlive a restart of the queen.

    Args:
        folder: of the authority.
        now: the time, with a time zone.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime] = _now) -> None:
        self._folder = folder
        self._now = now
        self._open: dict[str, _Invitation] | None = None
        self._wrong: list[datetime] = []

    def invite(self, name: str | None, lifetime: timedelta) -> tuple[str, datetime]:
        """Invite one machine.

        Args:
            name: as which hive it must join; None for any.
            lifetime: of the invitation.

        Returns:
            The token, and when it ends.

        Raises:
            ConflictError: too many are open.
        """
        found = self._current()
        if len(found) >= _MOST_OPEN:
            raise ConflictError(f"{_MOST_OPEN} invitations are open; wait until some have ended.")
        token = secrets.token_urlsafe(32)
        made = _Invitation(digest=_digest(token), expires_at=self._now() + lifetime, name=name)
        self._keep({**found, made.digest: made})
        return token, made.expires_at

    def redeem(self, token: str, name: str) -> None:
        """Use an invitation up.

        Args:
            token: as given.
            name: of the hive that joins.

        Raises:
            AuthenticationError: it was never given, has ended, was used, or is for another name.
            RateLimitedError: too many wrong ones have come.
        """
        now = self._now()
        self._wrong = [at for at in self._wrong if now - at < _WITHIN]
        if len(self._wrong) >= _TRIES:
            raise RateLimitedError("Too many invitations that do not hold were shown; try again in a minute.")
        found = self._current()
        digest = _digest(token)
        known = next((one for one in found.values() if hmac.compare_digest(one.digest, digest)), None)
        if known is None or known.name not in {None, name}:
            self._wrong.append(now)
            raise AuthenticationError(
                "The invitation does not hold: it was used, has ended, is for another name or was never given. "
                "Get a new one on the queen's machine: rbee hive invite"
            )
        # Used up on the disk before anything is given for it.
        self._keep({key: one for key, one in found.items() if key != digest})

    def _current(self) -> dict[str, _Invitation]:
        if self._open is None:
            raw = read_private(self._folder / _FILE)
            try:
                read = [] if raw is None else msgspec.json.decode(raw, type=list[_Invitation])
            except msgspec.DecodeError as error:
                path = self._folder / _FILE
                raise ConfigurationError(
                    f"File '{path}' is damaged. Remove it; who was invited is to be invited anew."
                ) from error
            self._open = {one.digest: one for one in read}
        now = self._now()
        return {key: one for key, one in self._open.items() if one.expires_at > now}

    def _keep(self, found: dict[str, _Invitation]) -> None:
        make_folder(self._folder)
        write_private(self._folder / _FILE, msgspec.json.encode(list(found.values())))
        self._open = found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
