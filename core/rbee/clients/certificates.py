"""The queen's routes that give certificates."""

from __future__ import annotations

from rbee.clients.transport import Transport
from rbee.contract.wire import CertificateGiven, CertificateWish, WorkerCertificateWish


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

    async def for_worker(self, worker_id: str, csr: str) -> CertificateGiven:
        """A certificate for a worker of the hive that asks.

        Raises:
            PermissionDeniedError: another hive has a worker of that id.
        """
        wish = WorkerCertificateWish(worker_id=worker_id, csr=csr)
        return await self._transport.call("POST", "/v1/ca/worker", CertificateGiven, body=wish)
