"""The queen's routes that give certificates and take them back."""

from __future__ import annotations

from typing import Any

from litestar import Request, get, post

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
    Revocation,
    Revoked,
    Rotated,
    Rotation,
    WaitingHive,
    WaitingHives,
    WorkerCertificateWish,
)
from rbee.http.peers import peer_of
from rbee.queen.service import QueenService
from rbee.trust.names import Role


@post("/v1/ca/renew", status_code=200)
async def renew_certificate(
    service: QueenService, request: Request[Any, Any, Any], data: CertificateWish
) -> CertificateGiven:
    """A certificate in the place of the one that the caller has shown, or proves to have had."""
    return await service.certificates.renew(peer_of(request), data, service.enrolling.tries, _caller(request))


@post("/v1/ca/worker", status_code=200)
async def worker_certificate(
    service: QueenService, request: Request[Any, Any, Any], data: WorkerCertificateWish
) -> CertificateGiven:
    """A certificate for a worker of the hive that asks."""
    return await service.certificates.for_worker(peer_of(request), data.worker_id, data.csr)


@post("/v1/ca/enrol", status_code=200)
async def enrol(service: QueenService, request: Request[Any, Any, Any], data: Enrolment) -> Enrolled:
    """The first certificate of a machine that was invited; the invitation is its only proof."""
    return await service.enrolling.enrol(data, _caller(request))


@post("/v1/ca/invite", status_code=201)
async def invite(service: QueenService, data: InvitationWish) -> Invitation:
    """Invite a machine to join as a hive."""
    return service.enrolling.invite(data)


@get("/v1/ca/waiting")
async def waiting(service: QueenService) -> WaitingHives:
    """Machines that were invited and are to be approved."""
    return WaitingHives(waiting=service.enrolling.waiting())


@post("/v1/ca/approve", status_code=200)
async def approve(service: QueenService, data: Approval) -> WaitingHive:
    """Let one of them join, or not."""
    return service.enrolling.answer(data)


@get("/v1/ca")
async def authority(service: QueenService) -> AuthorityInfo:
    """The colony's authority; open to all: its certificates are no secret."""
    return service.certificates.info()


@get("/v1/ca/roots", media_type="application/x-pem-file")
async def roots(service: QueenService) -> str:
    """The authority's certificates as a file; open to all."""
    return service.certificates.roots()


@get("/v1/ca/issued")
async def issued(service: QueenService) -> IssuedCertificates:
    """What the authority has signed."""
    return service.certificates.issued()


@post("/v1/ca/revoke", status_code=200)
async def revoke(service: QueenService, data: Revocation) -> Revoked:
    """Take back all that a program has."""
    return service.certificates.revoke(Role(data.role), data.id, data.reason)


@post("/v1/ca/rotate", status_code=200)
async def rotate(service: QueenService, data: Rotation) -> Rotated:
    """Make a new key of the authority."""
    return service.certificates.rotate(at_once=data.at_once)


OPEN_CA_PATHS = ("/v1/ca", "/v1/ca/roots", "/v1/ca/enrol", "/v1/ca/renew")
"""Who is no member yet, or none any more, has nothing to show; what it sends is its proof."""

CA_ROUTES = (
    authority,
    roots,
    issued,
    renew_certificate,
    worker_certificate,
    enrol,
    invite,
    waiting,
    approve,
    revoke,
    rotate,
)


def _caller(request: Request[Any, Any, Any]) -> str:
    return "" if request.client is None else request.client.host
