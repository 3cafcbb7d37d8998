"""The queen's routes that give certificates."""

from __future__ import annotations

from rbee.clients.transport import Transport
from rbee.contract.wire import (
    Approval,
    AuthorityInfo,
    CertificateGiven,
    CertificateWish,
    Enrolled,
    Enrolment,
    Invitation,
    InvitationWish,
    IssuedCertificates,
    RevocableRole,
    Revocation,
    Revoked,
    Rotated,
    Rotation,
    WaitingHive,
    WaitingHives,
    WorkerCertificateWish,
)


class CertificatesClient:
    """What a program of the colony asks of the queen."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def renew(self, csr: str, certificate: str | None = None, proof: str | None = None) -> CertificateGiven:
        """A certificate in the place of the one that is shown, or was.

        Args:
            csr: PEM.
            certificate: PEM, when it has ended and is not shown.
            proof: of its key, as `rbee.trust.proofs.prove` makes it.

        Raises:
            PermissionDeniedError: none is shown, or it was revoked.
            AuthenticationError: the one that has ended cannot be renewed.
        """
        wish = CertificateWish(csr=csr, certificate=certificate, proof=proof)
        return await self._transport.call("POST", "/v1/ca/renew", CertificateGiven, body=wish)

    async def enrol(self, token: str, hive_id: str, csr: str) -> Enrolled:
        """The first certificate of a machine that was invited; to be asked again where it is to be approved.

        Raises:
            AuthenticationError: the invitation does not hold.
        """
        wish = Enrolment(token=token, hive_id=hive_id, csr=csr)
        return await self._transport.call("POST", "/v1/ca/enrol", Enrolled, body=wish)

    async def invite(self, name: str | None, minutes: float | None = None, *, approved: bool = False) -> Invitation:
        """Invite a machine; see `InvitationWish`."""
        wish = InvitationWish(name=name, minutes=minutes, approved=approved)
        return await self._transport.call("POST", "/v1/ca/invite", Invitation, body=wish)

    async def info(self) -> AuthorityInfo:
        """The colony's authority."""
        return await self._transport.call("GET", "/v1/ca", AuthorityInfo)

    async def issued(self) -> IssuedCertificates:
        """What the authority has signed."""
        return await self._transport.call("GET", "/v1/ca/issued", IssuedCertificates)

    async def waiting(self) -> tuple[WaitingHive, ...]:
        """Machines that are to be approved."""
        return (await self._transport.call("GET", "/v1/ca/waiting", WaitingHives)).waiting

    async def approve(self, name: str, key: str | None = None, *, approved: bool = True) -> WaitingHive:
        """Let one of them join, or not.

        Raises:
            NotFoundError: none of that name waits.
            ConflictError: several do, and no key was named.
        """
        wish = Approval(name=name, key=key, approved=approved)
        return await self._transport.call("POST", "/v1/ca/approve", WaitingHive, body=wish)

    async def revoke(self, role: RevocableRole, subject: str, reason: str = "") -> Revoked:
        """Take back all that a program has.

        Raises:
            NotFoundError: it has nothing.
        """
        wish = Revocation(role=role, id=subject, reason=reason)
        return await self._transport.call("POST", "/v1/ca/revoke", Revoked, body=wish)

    async def rotate(self, *, at_once: bool = False) -> Rotated:
        """Make a new key of the authority."""
        return await self._transport.call("POST", "/v1/ca/rotate", Rotated, body=Rotation(at_once=at_once))

    async def for_worker(self, worker_id: str, csr: str) -> CertificateGiven:
        """A certificate for a worker of the hive that asks.

        Raises:
            PermissionDeniedError: another hive has a worker of that id.
        """
        wish = WorkerCertificateWish(worker_id=worker_id, csr=csr)
        return await self._transport.call("POST", "/v1/ca/worker", CertificateGiven, body=wish)
