"""How machines come into the colony: invited, perhaps approved, and given their first certificate."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from rbee.contract.errors import InvalidRequestError
from rbee.contract.wire import Approval, Enrolled, Enrolment, Invitation, InvitationWish, WaitingHive
from rbee.queen.certificates import Certificates
from rbee.settings.model import SecuritySettings
from rbee.trust.names import Role

if TYPE_CHECKING:
    from rbee.trust.invitations import Invitations
    from rbee.trust.tries import Tries

log = logging.getLogger(__name__)


class Enrolling:
    """Lets machines in.

    Args:
        certificates: gives them.
        settings: how long invitations hold, and whether machines are to be approved.
        url: under which others reach the queen.
    """

    def __init__(self, certificates: Certificates, settings: SecuritySettings, url: str) -> None:
        self._certificates = certificates
        self._minutes = settings.invite_minutes
        self._approve = settings.approve_hives
        self._url = url
        self._kept: Invitations | None = None
        self._joining: set[str] = set()
        """Names whose certificate is being written down."""

    @property
    def tries(self) -> Tries:
        """Wrong ones, of all that is open to strangers; raises as `invite`."""
        return self._invitations().tries

    def invite(self, wish: InvitationWish) -> Invitation:
        """Invite a machine to join as a hive.

        Raises:
            ConflictError: too many invitations are open, or this colony has no authority.
        """
        fingerprint = self._certificates.authority.fingerprint
        lifetime = timedelta(minutes=wish.minutes or self._minutes)
        token, expires_at = self._invitations().invite(wish.name, lifetime, approved=wish.approved)
        return Invitation(token=token, expires_at=expires_at, url=self._url, ca_fingerprint=fingerprint)

    async def enrol(self, wish: Enrolment, caller: str) -> Enrolled:
        """The first certificate of a machine that was invited.

        Args:
            wish: with its invitation.
            caller: its address.

        Raises:
            AuthenticationError: the invitation does not hold.
            ConflictError: there is a hive of that name, or this colony has no authority.
            RateLimitedError: too many that do not hold have come from there.
            InvalidRequestError: the request will not do; it costs no invitation.
        """
        issued = self._certificates.authority.issued
        from rbee.trust.proofs import key_of_request

        invitations = self._invitations()
        invitations.tries.check(caller)
        try:
            key = key_of_request(wish.csr.encode())
        except InvalidRequestError:
            # No machine that was invited sends one.
            invitations.tries.failed(caller)
            raise
        waits = any(one.key == key for one in invitations.waiting())
        may = invitations.redeem(
            wish.token,
            wish.hive_id,
            key,
            caller,
            approve=self._approve,
            taken=lambda name: name in self._joining or issued.holds(Role.HIVE, name),
        )
        if not may and not waits:
            log.info("hive %s waits to be approved: rbee hive approve %s", wish.hive_id, wish.hive_id)
        if not may:
            return Enrolled(given=None, key=key)
        self._joining.add(wish.hive_id)
        try:
            given = await self._certificates.give(wish.csr, Role.HIVE, wish.hive_id)
        finally:
            self._joining.discard(wish.hive_id)
        log.info("hive %s has joined the colony", wish.hive_id)
        return Enrolled(given=given, key=key)

    def waiting(self) -> tuple[WaitingHive, ...]:
        """Machines that are to be approved; raises as `invite`."""
        return tuple(self._invitations().waiting())

    def answer(self, approval: Approval) -> WaitingHive:
        """Let one of them join, or not.

        Raises:
            NotFoundError: none of that name waits.
            ConflictError: several do.
        """
        found = self._invitations().answer(approval.name, approval.key, approved=approval.approved)
        log.info("hive %s, key %s, was %s", found.name, found.key, "approved" if approval.approved else "sent away")
        return found

    def _invitations(self) -> Invitations:
        if self._kept is None:
            authority = self._certificates.authority
            # Late: a queen on loopback loads none of this.
            from rbee.trust.invitations import Invitations

            self._kept = Invitations(authority.folder)
        return self._kept
