"""Certificates of the colony's programs, as they are asked for and given."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

Pem = Annotated[str, Meta(max_length=64 * 1024)]


class CertificateWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program wants a certificate in the place of its own.

    Attributes:
        csr: its request (PKCS #10) in PEM, of a fresh key.
    """

    csr: Annotated[str, Meta(max_length=16 * 1024)]


class WorkerCertificateWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hive wants a certificate for a worker that it starts.

    Attributes:
        worker_id: of the worker.
        csr: as in `CertificateWish`.
    """

    worker_id: Annotated[str, Meta(min_length=1, max_length=128)]
    csr: Annotated[str, Meta(max_length=16 * 1024)]


class CertificateGiven(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate and whom to trust.

    Attributes:
        certificate: PEM.
        roots: certificates of the colony's authority, PEM.
        revoked: serial numbers, in hexadecimal digits, of certificates that hold no more though they have not ended.
    """

    certificate: Pem
    roots: Pem
    revoked: tuple[str, ...] = ()


class InvitationWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator invites a machine.

    Attributes:
        name: as which hive it must join; None for any.
        minutes: for which the invitation holds.
    """

    name: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    minutes: Annotated[float, Meta(gt=0, le=10_080)] = 30.0


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """What an invited machine needs.

    Attributes:
        token: works once.
        expires_at: until when.
        url: where the queen is.
        ca_fingerprint: of the colony's authority, ``SHA256:...``.
    """

    token: str
    expires_at: datetime
    url: str
    ca_fingerprint: str


class Enrolment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine joins as a hive.

    Attributes:
        token: of its invitation.
        hive_id: as which hive.
        csr: as in `CertificateWish`.
    """

    token: Annotated[str, Meta(max_length=256)]
    hive_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._:@+-]{0,127}\Z")]
    csr: Annotated[str, Meta(max_length=16 * 1024)]


class AuthorityInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The colony's certificate authority.

    Attributes:
        colony: the colony's id.
        fingerprint: of the certificate that signs, ``SHA256:...``.
        expires_at: its end.
        certificate_hours: for which what it signs holds.
        roots: all certificates that are trusted, PEM.
    """

    colony: str
    fingerprint: str
    expires_at: datetime
    certificate_hours: float
    roots: Pem
