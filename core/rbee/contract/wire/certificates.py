"""Certificates of the colony's programs, as they are asked for and given."""

from __future__ import annotations

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
