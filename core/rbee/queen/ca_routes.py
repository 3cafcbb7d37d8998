"""The queen's routes that give certificates."""

from __future__ import annotations

from typing import Any

from litestar import Request, post

from rbee.contract.wire import CertificateGiven, CertificateWish, WorkerCertificateWish
from rbee.http.peers import peer_of
from rbee.queen.service import QueenService


@post("/v1/ca/renew", status_code=200)
async def renew_certificate(
    service: QueenService, request: Request[Any, Any, Any], data: CertificateWish
) -> CertificateGiven:
    """A certificate in the place of the one that the caller has shown."""
    return service.certificates.renew(peer_of(request), data.csr)


@post("/v1/ca/worker", status_code=200)
async def worker_certificate(
    service: QueenService, request: Request[Any, Any, Any], data: WorkerCertificateWish
) -> CertificateGiven:
    """A certificate for a worker of the hive that asks."""
    return service.certificates.for_worker(peer_of(request), data.worker_id, data.csr)


CA_ROUTES = (renew_certificate, worker_certificate)
