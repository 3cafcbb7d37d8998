"""Certificates that the queen gives to programs of her colony, and takes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from rbee.contract.errors import AuthenticationError, ConflictError, InvalidRequestError, PermissionDeniedError
from rbee.contract.wire import (
    AuthorityInfo,
    CertificateGiven,
    CertificateWish,
    IssuedCertificate,
    IssuedCertificates,
    Revoked,
    Rotated,
    utc_now,
)
from rbee.settings.model import SecuritySettings
from rbee.trust.names import Peer, Role

if TYPE_CHECKING:
    from rbee.trust.authority import Authority
    from rbee.trust.issued import Entry
    from rbee.trust.tries import Tries

log = logging.getLogger(__name__)

_MOST_LISTED = 2000


class Certificates:
    """Signs for those who may ask.

    Args:
        authority: the colony's; None where all listen on loopback alone.
        settings: how long what it signs holds.
        hive_of: which hive has a worker, by its id; None when it is not known.
        on_revoked: called with who is to be trusted no more.
        now: the time, with a time zone.
    """

    def __init__(
        self,
        authority: Authority | None,
        settings: SecuritySettings,
        hive_of: Callable[[str], str | None],
        on_revoked: Callable[[Role, str], None],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._authority = authority
        self._lifetime = timedelta(hours=settings.certificate_hours)
        self._grace = timedelta(hours=settings.renewal_grace_hours)
        self._hive_of = hive_of
        self._on_revoked = on_revoked
        self._now = now
        self._told: tuple[frozenset[int], tuple[str, ...]] = (frozenset(), ())

    @property
    def authority(self) -> Authority:
        """The colony's.

        Raises:
            ConflictError: it has none.
        """
        if self._authority is None:
            raise ConflictError(
                "This queen listens on loopback alone, and no other machine can join her. Set server.host to an "
                "address of this machine, or to 0.0.0.0, and start her again."
            )
        return self._authority

    @property
    def signs(self) -> bool:
        """Whether this colony has an authority."""
        return self._authority is not None

    def revoked(self) -> tuple[str, ...]:
        """Numbers, in hexadecimal digits, of certificates that have not ended and hold no more."""
        if self._authority is None:
            return ()
        found = self._authority.issued.revoked()
        if found is not self._told[0]:
            self._told = found, tuple(f"{serial:x}" for serial in sorted(found))
        return self._told[1]

    async def renew(self, peer: Peer | None, wish: CertificateWish, tries: Tries, caller: str) -> CertificateGiven:
        """A certificate in the place of another one.

        Args:
            peer: who has shown it over TLS; None when nobody has.
            wish: with the one before, where that has ended.
            tries: counts wrong ones.
            caller: address of the machine.

        Raises:
            PermissionDeniedError: none was shown.
            AuthenticationError: the one that has ended cannot be renewed.
            RateLimitedError: too many like that have come from there.
            InvalidRequestError: the request will not do.
            ConflictError: this colony has no authority.
        """
        authority = self.authority
        if peer is None:
            if wish.certificate is None or wish.proof is None:
                raise PermissionDeniedError(
                    "A certificate is renewed over TLS, to whoever shows the one before it; when that has ended, with "
                    "'certificate' and 'proof'."
                )
            from rbee.trust.proofs import check_proof

            tries.check(caller)
            try:
                shown = wish.certificate.encode()
                peer = check_proof(authority, shown, wish.csr.encode(), wish.proof, self._now(), self._grace)
            except AuthenticationError:
                tries.failed(caller)
                raise
            log.info("%s %s renews a certificate that has ended", peer.role, peer.id)
        elif peer.serial in authority.issued.revoked():
            raise PermissionDeniedError(f"The certificate of {peer.role} {peer.id!r} was revoked.")
        hive = self._hive_of(peer.id) if peer.role is Role.WORKER else None
        return await self.give(wish.csr, peer.role, peer.id, hive)

    async def for_worker(self, peer: Peer | None, worker_id: str, csr: str) -> CertificateGiven:
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
        return await self.give(csr, Role.WORKER, worker_id, peer.id)

    async def give(self, csr: str, role: Role, subject: str, hive: str | None = None) -> CertificateGiven:
        """A certificate for who may have one; raises as `renew`."""
        sign = partial(self.authority.issue, csr.encode(), role, subject, (), self._lifetime, hive=hive)
        # What it writes down is on the disk before it is given away, and streams pass through here meanwhile.
        made = await asyncio.to_thread(sign)
        return CertificateGiven(
            certificate=made.certificate.decode("ascii"), roots=self.roots(), revoked=self.revoked()
        )

    def revoke(self, role: Role, subject: str, reason: str) -> Revoked:
        """Take back all that a program has; it is heard no more, and asked no more.

        Raises:
            NotFoundError: it has nothing.
            ConflictError: too much would be taken back at a time, or this colony has no authority.
        """
        authority = self.authority
        if role is Role.QUEEN:
            raise InvalidRequestError("The queen's own certificate is not revoked; see `rbee ca rotate`.", param="role")
        from rbee.trust.revoked import tell_revoked

        taken = authority.issued.revoke(role, subject, reason)
        # All programs of this home, whichever process they are in.
        tell_revoked(authority.folder.parent / "identity", authority.issued.revoked())
        log.warning("the certificates of %s %s were revoked", role, subject)
        self._on_revoked(role, subject)
        return Revoked(role=role, id=subject, certificates=len(taken))

    def rotate(self, *, at_once: bool) -> Rotated:
        """Make a new key of the authority; see `Authority.rotate`.

        Raises:
            ConflictError: this colony has none.
        """
        authority = self.authority
        new = authority.rotate(self._lifetime, at_once=at_once)
        log.warning("the colony's authority has a new key, %s", new)
        return Rotated(fingerprint=new, signs_from=self._now() + (timedelta() if at_once else self._lifetime))

    def info(self) -> AuthorityInfo:
        """The authority.

        Raises:
            ConflictError: this colony has none.
        """
        authority = self.authority
        return AuthorityInfo(
            colony=authority.colony,
            fingerprint=authority.fingerprint,
            expires_at=authority.expires_at,
            certificate_hours=self._lifetime / timedelta(hours=1),
            roots=self.roots(),
        )

    def roots(self) -> str:
        """Certificates that are trusted, in PEM; raises as `info`."""
        return self.authority.roots_pem().decode("ascii")

    def issued(self) -> IssuedCertificates:
        """What was signed, the newest of each program; raises as `info`."""
        found = self.authority.issued.newest(_MOST_LISTED + 1)
        return IssuedCertificates(
            certificates=tuple(_told(one) for one in found[:_MOST_LISTED]), complete=len(found) <= _MOST_LISTED
        )


def _told(entry: Entry) -> IssuedCertificate:
    return IssuedCertificate(
        serial=f"{entry.serial:x}",
        role=entry.role,
        id=entry.subject,
        hive_id=entry.hive,
        issued_at=entry.issued_at,
        expires_at=entry.expires_at,
        revoked_at=entry.revoked_at,
        reason=entry.reason or None,
    )
