"""Certificates of the colony's programs, as they are asked for and given."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Pem = Annotated[str, Meta(max_length=64 * 1024)]
HiveId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._:@+-]{0,127}\Z")]
RevocableRole = Literal["hive", "worker", "registry"]
Serial = Annotated[str, Meta(pattern=r"^[0-9a-f]{1,40}\Z")]
ProgramId = Annotated[str, Meta(min_length=1, max_length=256)]


class CertificateWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program wants a certificate in the place of its own.

    Attributes:
        csr: its request (PKCS #10) in PEM, of a fresh key.
        certificate: its own in PEM, when that has ended: TLS takes it no more.
        proof: signature of that certificate's key over the bytes of `csr` (ECDSA, SHA-256, DER), in base64.
    """

    csr: Annotated[str, Meta(max_length=16 * 1024)]
    certificate: Annotated[str, Meta(max_length=16 * 1024)] | None = None
    proof: Annotated[str, Meta(max_length=256)] | None = None


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


class Revocations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The queen tells a program of what holds no more.

    Attributes:
        revoked: serial numbers, in hexadecimal digits, of all certificates that hold no more though they have not
            ended.
    """

    revoked: tuple[Serial, ...]


class InvitationWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator invites a machine.

    Attributes:
        name: as which hive it must join; None for any.
        minutes: for which the invitation holds; None as `security.invite_minutes` says.
        approved: the machine need not be approved when it comes, whatever `security.approve_hives` says.
    """

    name: HiveId | None = None
    minutes: Annotated[float, Meta(gt=0, le=10_080)] | None = None
    approved: bool = False


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
    hive_id: HiveId
    csr: Annotated[str, Meta(max_length=16 * 1024)]


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to a machine that joins.

    Attributes:
        given: its certificate; None while an operator is to approve it: the same question is to be asked again.
        key: what its key hashes to, by which an operator tells it from another one of that name.
    """

    given: CertificateGiven | None
    key: str


class WaitingHive(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that was invited and is to be approved.

    Attributes:
        name: as which hive it joins.
        key: what its key hashes to, ``SHA256:...``.
        since: when it came.
        expires_at: until when it waits.
    """

    name: str
    key: str
    since: datetime
    expires_at: datetime


class WaitingHives(msgspec.Struct, frozen=True, kw_only=True):
    """Machines that are to be approved.

    Attributes:
        waiting: the first first.
    """

    waiting: tuple[WaitingHive, ...]


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a machine may join.

    Attributes:
        name: as which hive.
        key: of which machine, where several wait by that name.
        approved: False sends it away.
    """

    name: HiveId
    key: Annotated[str, Meta(max_length=64)] | None = None
    approved: bool = True


class Revocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program is to be trusted no more.

    Attributes:
        role: what it is.
        id: which.
        reason: for the list.
    """

    role: RevocableRole
    id: ProgramId
    reason: Annotated[str, Meta(max_length=200)] = ""


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken back.

    Attributes:
        role: of whom.
        id: of which.
        certificates: how many; for a hive with those of its workers.
    """

    role: str
    id: str
    certificates: int


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The authority is to have a new key.

    Attributes:
        at_once: the old one is trusted no more from now on.
    """

    at_once: bool = False


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """The authority has a new key.

    Attributes:
        fingerprint: of its certificate.
        signs_from: since when it signs; the old one is trusted for a while longer, unless it was given up.
    """

    fingerprint: str
    signs_from: datetime


class IssuedCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """The newest certificate of a program.

    Attributes:
        serial: its number in hexadecimal digits.
        role: whose: what it is.
        id: and which.
        hive_id: that asked for it, for a worker.
        issued_at: when it was signed.
        expires_at: its end.
        revoked_at: since when it holds no more; None while it was not taken back.
        reason: why it was; None when nobody has said.
    """

    serial: str
    role: str
    id: str
    hive_id: str | None
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    reason: str | None


class IssuedCertificates(msgspec.Struct, frozen=True, kw_only=True):
    """What the authority has signed.

    Attributes:
        certificates: the newest of each program, by role and id.
        complete: False when there are more.
    """

    certificates: tuple[IssuedCertificate, ...]
    complete: bool


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
