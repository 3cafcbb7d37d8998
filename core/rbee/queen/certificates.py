"""Certificates that the queen gives to programs of her colony."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from rbee.contract.errors import PermissionDeniedError, UnavailableError
from rbee.contract.wire import CertificateGiven
from rbee.trust.names import Peer, Role

if TYPE_CHECKING:
    from rbee.trust.authority import Authority


class Certificates:
    """Signs for those who may ask.

    Args:
        authority: the colony's; None where all listen on loopback alone.
        lifetime: of what it signs.
        hive_of: which hive has a worker, by its id; None when it is not known.
    """

    def __init__(self, authority: Authority | None, lifetime: timedelta, hive_of: Callable[[str], str | None]) -> None:
        self._authority = authority
        self._lifetime = lifetime
        self._hive_of = hive_of

    def renew(self, peer: Peer | None, csr: str) -> CertificateGiven:
        """A certificate in the place of the one that the caller has shown.

        Raises:
            PermissionDeniedError: none was shown.
            InvalidRequestError: the request will not do.
            UnavailableError: this colony has no authority.
        """
        if peer is None:
            raise PermissionDeniedError("A certificate is renewed over TLS, to whoever shows the one before it.")
        return self._given(csr, peer.role, peer.id)

    def for_worker(self, peer: Peer | None, worker_id: str, csr: str) -> CertificateGiven:
        """A certificate for a worker that a hive starts.

        Raises:
            PermissionDeniedError: no hive asks, or another one has a worker of that id.
            InvalidRequestError, UnavailableError: as `renew`.
        """
        if peer is None or peer.role is not Role.HIVE:
            raise PermissionDeniedError("A worker's certificate is given to its hive, over TLS.")
        owner = self._hive_of(worker_id)
        if owner is not None and owner != peer.id:
            raise PermissionDeniedError(f"Worker {worker_id!r} is of hive {owner!r}, not of {peer.id!r}.")
        return self._given(csr, Role.WORKER, worker_id)

    def _given(self, csr: str, role: Role, subject: str) -> CertificateGiven:
        if self._authority is None:
            raise UnavailableError("This queen listens on loopback alone, and gives no certificates.")
        made = self._authority.issue(csr.encode(), role, subject, (), self._lifetime)
        return CertificateGiven(
            certificate=made.certificate.decode("ascii"), roots=self._authority.roots_pem().decode("ascii")
        )
