"""The queen's routes that give certificates."""

from __future__ import annotations

from rbee.clients.transport import Transport
from rbee.contract.wire import (
    AuthorityInfo,
    CertificateGiven,
    CertificateWish,
    Enrolment,
    Invitation,
    InvitationWish,
    WorkerCertificateWish,
)


class CertificatesClient:
    """What a program of the colony asks of the queen."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def renew(self, csr: str) -> CertificateGiven:
        """A certificate in the place of the one that is shown.

        Raises:
            PermissionDeniedError: none is shown, or it was revoked.
        """
        return await self._transport.call("POST", "/v1/ca/renew", CertificateGiven, body=CertificateWish(csr=csr))

    async def enrol(self, token: str, hive_id: str, csr: str) -> CertificateGiven:
        """The first certificate of a machine that was invited.

        Raises:
            AuthenticationError: the invitation does not hold.
        """
        wish = Enrolment(token=token, hive_id=hive_id, csr=csr)
        return await self._transport.call("POST", "/v1/ca/enrol", CertificateGiven, body=wish)

    async def invite(self, name: str | None, minutes: float) -> Invitation:
        """Invite a machine."""
        wish = InvitationWish(name=name, minutes=minutes)
        return await self._transport.call("POST", "/v1/ca/invite", Invitation, body=wish)

    async def info(self) -> AuthorityInfo:
        """The colony's authority."""
        return await self._transport.call("GET", "/v1/ca", AuthorityInfo)

    async def for_worker(self, worker_id: str, csr: str) -> CertificateGiven:
        """A certificate for a worker of the hive that asks.

        Raises:
            PermissionDeniedError: another hive has a worker of that id.
        """
        wish = WorkerCertificateWish(worker_id=worker_id, csr=csr)
        return await self._transport.call("POST", "/v1/ca/worker", CertificateGiven, body=wish)
