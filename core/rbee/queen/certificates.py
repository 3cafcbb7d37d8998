"""Certificates that the queen gives to programs of her colony."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from rbee.contract.errors import ConflictError, PermissionDeniedError
from rbee.contract.wire import AuthorityInfo, CertificateGiven, Enrolment, Invitation
from rbee.trust.names import Peer, Role

if TYPE_CHECKING:
    from rbee.trust.authority import Authority
    from rbee.trust.invitations import Invitations

log = logging.getLogger(__name__)


class Certificates:
    """Signs for those who may ask.

    Args:
        authority: the colony's; None where all listen on loopback alone.
        lifetime: of what it signs.
        hive_of: which hive has a worker, by its id; None when it is not known.
        url: under which others reach the queen.
    """

    def __init__(
        self, authority: Authority | None, lifetime: timedelta, hive_of: Callable[[str], str | None], url: str
    ) -> None:
        self._authority = authority
        self._lifetime = lifetime
        self._hive_of = hive_of
        self._url = url
        self._kept: Invitations | None = None

    def renew(self, peer: Peer | None, csr: str) -> CertificateGiven:
        """A certificate in the place of the one that the caller has shown.

        Raises:
            PermissionDeniedError: none was shown.
            InvalidRequestError: the request will not do.
            ConflictError: this colony has no authority.
        """
        if peer is None:
            raise PermissionDeniedError("A certificate is renewed over TLS, to whoever shows the one before it.")
        return self._given(csr, peer.role, peer.id)

    def for_worker(self, peer: Peer | None, worker_id: str, csr: str) -> CertificateGiven:
        """A certificate for a worker that a hive starts.

        Raises:
            PermissionDeniedError: no hive asks, or another one has a worker of that id.
            InvalidRequestError, ConflictError: as `renew`.
        """
        if peer is None or peer.role is not Role.HIVE:
            raise PermissionDeniedError("A worker's certificate is given to its hive, over TLS.")
        owner = self._hive_of(worker_id)
        if owner is not None and owner != peer.id:
            raise PermissionDeniedError(f"Worker {worker_id!r} is of hive {owner!r}, not of {peer.id!r}.")
        return self._given(csr, Role.WORKER, worker_id)

    def invite(self, name: str | None, minutes: float) -> Invitation:
        """Invite a machine to join as a hive.

        Args:
            name: as which; None for any.
            minutes: for which the invitation holds.

        Raises:
            ConflictError: too many invitations are open, or this colony has no authority.
        """
        authority = self._found()
        token, expires_at = self._invitations(authority).invite(name, timedelta(minutes=minutes))
        return Invitation(token=token, expires_at=expires_at, url=self._url, ca_fingerprint=authority.fingerprint)

    def enrol(self, wish: Enrolment) -> CertificateGiven:
        """The first certificate of a machine that was invited.

        Raises:
            AuthenticationError: the invitation does not hold.
            RateLimitedError: too many that do not have come.
            InvalidRequestError, ConflictError: as `renew`.
        """
        authority = self._found()
        from rbee.trust.certificates import read_request

        # A request that will not do costs no invitation.
        read_request(wish.csr.encode())
        self._invitations(authority).redeem(wish.token, wish.hive_id)
        log.info("hive %s has joined the colony", wish.hive_id)
        return self._given(wish.csr, Role.HIVE, wish.hive_id)

    def info(self) -> AuthorityInfo:
        """The authority.

        Raises:
            ConflictError: this colony has none.
        """
        authority = self._found()
        return AuthorityInfo(
            colony=authority.colony,
            fingerprint=authority.fingerprint,
            expires_at=authority.expires_at,
            certificate_hours=self._lifetime / timedelta(hours=1),
            roots=authority.roots_pem().decode("ascii"),
        )

    def _invitations(self, authority: Authority) -> Invitations:
        if self._kept is None:
            # Late: a queen on loopback loads none of this.
            from rbee.trust.invitations import Invitations

            self._kept = Invitations(authority.folder)
        return self._kept

    def _found(self) -> Authority:
        if self._authority is None:
            raise ConflictError(
                "This queen listens on loopback alone, and no other machine can join her. Set server.host to an "
                "address of this machine, or to 0.0.0.0, and start her again."
            )
        return self._authority

    def _given(self, csr: str, role: Role, subject: str) -> CertificateGiven:
        authority = self._found()
        made = authority.issue(csr.encode(), role, subject, (), self._lifetime)
        return CertificateGiven(
            certificate=made.certificate.decode("ascii"), roots=authority.roots_pem().decode("ascii")
        )
