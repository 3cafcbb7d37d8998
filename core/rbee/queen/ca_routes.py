"""The queen's routes that give certificates."""

from __future__ import annotations

from typing import Any

from litestar import Request, get, post

from rbee.contract.wire import (
    AuthorityInfo,
    CertificateGiven,
    CertificateWish,
    Enrolment,
    Invitation,
    InvitationWish,
    WorkerCertificateWish,
)
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


@post("/v1/ca/enrol", status_code=200)
async def enrol(service: QueenService, data: Enrolment) -> CertificateGiven:
    """The first certificate of a machine that was invited; the invitation is its only proof."""
    return service.certificates.enrol(data)


@post("/v1/ca/invite", status_code=201)
async def invite(service: QueenService, data: InvitationWish) -> Invitation:
    """Invite a machine to join as a hive."""
    return service.certificates.invite(data.name, data.minutes)


@get("/v1/ca")
async def authority(service: QueenService) -> AuthorityInfo:
    """The colony's authority; open to all: its certificates are no secret."""
    return service.certificates.info()


OPEN_CA_PATHS = ("/v1/ca", "/v1/ca/enrol")
"""Who is no member yet has nothing to show."""

CA_ROUTES = (authority, renew_certificate, worker_certificate, enrol, invite)
