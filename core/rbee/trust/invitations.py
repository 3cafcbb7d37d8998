"""Invitations into the colony: tokens that work once and not for long.  Only what they hash to is kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from rbee.contract.errors import AuthenticationError, ConfigurationError, ConflictError, NotFoundError
from rbee.contract.wire import WaitingHive, utc_now
from rbee.trust.private import make_folder, read_private, write_private
from rbee.trust.tries import Tries

_FILE = "invitations.json"
_MOST_OPEN = 500
_TRIES, _WITHIN = 20, timedelta(minutes=1)
"""Nobody guesses 256 bits, and nobody is to fill a log."""
_APPROVAL = timedelta(hours=24)
"""For which a machine waits to be approved."""


class _Invitation(msgspec.Struct, frozen=True, kw_only=True):
    digest: str
    expires_at: datetime
    name: str | None = None
    approved: bool = False
    waiting: WaitingHive | None = None


class Invitations:
    """Kept in a file, so that they outlive a restart of the queen.

    Args:
        folder: of the authority.
        now: the time, with a time zone.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime] = utc_now) -> None:
        self._folder = folder
        self._now = now
        self._open: dict[str, _Invitation] | None = None
        self.tries = Tries(_TRIES, _WITHIN, now)
        """Wrong ones."""

    def invite(self, name: str | None, lifetime: timedelta, *, approved: bool = False) -> tuple[str, datetime]:
        """Invite one machine.

        Args:
            name: as which hive it must join; None for any that the colony does not have.
            lifetime: of the invitation.
            approved: it need not be approved when it comes.

        Returns:
            The token, and when it ends.

        Raises:
            ConflictError: too many are open.
            ConfigurationError: they cannot be kept.
        """
        found = self._current()
        if len(found) >= _MOST_OPEN:
            raise ConflictError(f"{_MOST_OPEN} invitations are open; wait until some have ended.")
        token = secrets.token_urlsafe(32)
        made = _Invitation(digest=_digest(token), expires_at=self._now() + lifetime, name=name, approved=approved)
        self._keep({**found, made.digest: made})
        return token, made.expires_at

    def redeem(
        self,
        token: str,
        name: str,
        key: str = "",
        caller: str = "",
        *,
        approve: bool = False,
        taken: Callable[[str], bool] = lambda _: False,
    ) -> bool:
        """Use an invitation up, or wait to be approved.

        Args:
            token: as given.
            name: of the hive that joins.
            key: what its key hashes to.
            caller: address of the machine, for the count of wrong tries.
            approve: machines are to be approved.
            taken: whether the colony has a hive of a name, which only an invitation for that name replaces.

        Returns:
            Whether the machine may join; False while it waits to be approved: it asks again, with the same key.

        Raises:
            AuthenticationError: the invitation was never given, has ended, was used, or is for another name.  Which of
                them is not told: it would help who guesses.
            ConflictError: there is a hive of that name, and the invitation is for any.
            RateLimitedError: too many wrong ones have come from there.
        """
        self.tries.check(caller)
        found = self._current()
        digest = _digest(token)
        known = next((one for one in found.values() if hmac.compare_digest(one.digest, digest)), None)
        waiting = None if known is None else known.waiting
        strange = waiting is not None and (waiting.name, waiting.key) != (name, key)
        if known is None or strange or known.name not in {None, name}:
            self.tries.failed(caller)
            raise AuthenticationError(
                "The invitation does not hold: it was used, has ended, is for another name or was never given. "
                "Get a new one on the queen's machine: rbee hive invite"
            )
        if known.name is None and taken(name):
            raise ConflictError(
                f"The colony has a hive {name!r}. Join by another name (--name), or, if this machine is to take its "
                f"place, get an invitation for it on the queen's machine: rbee hive invite --name {name}"
            )
        if approve and not known.approved:
            if waiting is None:
                ends = max(known.expires_at, self._now() + _APPROVAL)
                waiting = WaitingHive(name=name, key=key, since=self._now(), expires_at=ends)
                self._keep({**found, digest: msgspec.structs.replace(known, expires_at=ends, waiting=waiting)})
            return False
        # Used up on the disk before anything is given for it.
        self._keep({one: kept for one, kept in found.items() if one != digest})
        return True

    def waiting(self) -> list[WaitingHive]:
        """Who is to be approved, the first first."""
        found = [one.waiting for one in self._current().values() if one.waiting is not None and not one.approved]
        return sorted(found, key=lambda one: one.since)

    def answer(self, name: str, key: str | None, *, approved: bool) -> WaitingHive:
        """Let a machine that waits join, or not.

        Args:
            name: as which hive.
            key: what its key hashes to; None where only one of that name waits.
            approved: whether it may.

        Raises:
            NotFoundError: none of that name waits.
            ConflictError: several do.
        """
        found = self._current()
        meant = [
            (one, one.waiting)
            for one in found.values()
            if one.waiting is not None and not one.approved and one.waiting.name == name
        ]
        if key is not None:
            meant = [pair for pair in meant if pair[1].key == key]
        if not meant:
            raise NotFoundError(f"No machine waits to join as hive {name!r}. `rbee hive approve` lists those that do.")
        if len(meant) > 1:
            keys = ", ".join(waiting.key for _, waiting in meant)
            raise ConflictError(f"{len(meant)} machines wait to join as hive {name!r}; choose by --key: {keys}")
        ((invitation, waiting),) = meant
        if approved:
            self._keep({**found, invitation.digest: msgspec.structs.replace(invitation, approved=True)})
        else:
            self._keep({digest: one for digest, one in found.items() if one is not invitation})
        return waiting

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
