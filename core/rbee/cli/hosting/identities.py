"""Certificates of the programs that one process hosts, where they listen beyond loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from rbee.clients import CertificatesClient, Credentials, Transport
from rbee.clients.who import QUEEN
from rbee.contract.errors import ConfigurationError, UnreachableError
from rbee.contract.wire import CertificateGiven
from rbee.settings import Folders, Settings
from rbee.trust.authority import Authority
from rbee.trust.identity import JOIN, Identity
from rbee.trust.names import Role
from rbee.trust.operators import OperatorsCertificate
from rbee.trust.proofs import prove
from rbee.trust.renewal import Renewed


def authority_of(folders: Folders) -> Authority:
    """The colony's authority, which is in the queen's home; not opened."""
    return Authority(folders.config / "ca")


def identity_of(folders: Folders) -> Identity:
    """What this machine's programs show, once it has joined a colony; not opened."""
    return Identity(folders.config / "identity")


class Identities:
    """What each program shows, and how it is renewed.

    Args:
        folders: of this home.
        settings: of this process.
    """

    def __init__(self, folders: Folders, settings: Settings) -> None:
        self._folders = folders
        self._settings = settings
        self._lifetime = timedelta(hours=settings.security.certificate_hours)
        self.authority = authority_of(folders)

    def of(self, role: Role, subject: str) -> Identity:
        """A program's own, made where the colony's authority is in this home.

        Args:
            role: what the program is.
            subject: its id.

        Raises:
            ConfigurationError: this home has joined no colony, or as another one.
        """
        joined = identity_of(self._folders)
        # The registry is where the queen is, unless its machine has joined her colony.
        founds = role is Role.QUEEN or (role is Role.REGISTRY and not joined.exists)
        if founds or self.authority.exists:
            self.authority.open()
            found = Identity(self._folders.config / "identity" / role)
            key, request = found.ask()
            given = self._sign(request, role, subject)
            found.take(key, given.certificate, given.roots)
            found.revoke(given.revoked)
            return found
        if not joined.exists:
            raise ConfigurationError(
                f"The {role} is to listen on {self._settings.server.host}, and this machine is in no colony. {JOIN}"
            )
        peer = joined.peer
        if (peer.role, peer.id) != (role, subject):
            raise ConfigurationError(
                f"This machine has joined the colony as {peer.role} {peer.id!r}, and the {role} here is {subject!r}: "
                f"set hive.id to {peer.id!r}, or join again."
            )
        return joined

    def joined(self) -> Identity | None:
        """What this machine got when it joined another one's colony; None where it has not."""
        found = identity_of(self._folders)
        return found if found.exists and not self.authority.exists else None

    def outdated(self, identity: Identity) -> bool:
        """Whether the authority, in this home, signs with another key than the one that has signed this."""
        return self.authority.exists and not self.authority.has_signed(identity.certificate_pem())

    async def renewed(
        self, identity: Identity, role: Role, subject: str, queen_url: Callable[[], str | None], csr: bytes
    ) -> Renewed:
        """A new certificate for one of them.

        Args:
            identity: shown for it.
            role: what the program is.
            subject: its id.
            queen_url: says where the queen is, who gives it where the authority is not in this home.
            csr: PEM.

        Raises:
            RbeeError: none is given.
        """
        if self.authority.exists:
            return await asyncio.to_thread(self._sign, csr, role, subject)
        if identity.expires_at > datetime.now(UTC):
            return await _ask(queen_url(), identity, lambda client: client.renew(csr.decode("ascii")))
        # TLS takes it no more: another proof of its key is shown, under TLS without a certificate.
        proof = prove(identity.key(), csr)
        shown = identity.certificate_pem().decode("ascii")
        nobody = Identity(identity.folder, shows=False)
        return await _ask(queen_url(), nobody, lambda client: client.renew(csr.decode("ascii"), shown, proof))

    async def for_worker(
        self, identity: Identity, queen_url: Callable[[], str | None], worker_id: str, csr: bytes
    ) -> Renewed:
        """A certificate for a worker of this machine's hive.

        Args:
            identity: the hive's.
            queen_url: as in `renewed`.
            worker_id: which.
            csr: PEM.

        Raises:
            RbeeError: none is given.
        """
        if self.authority.exists:
            return await asyncio.to_thread(self._sign, csr, Role.WORKER, worker_id, identity.peer.id)
        return await _ask(queen_url(), identity, lambda client: client.for_worker(worker_id, csr.decode("ascii")))

    def _sign(self, csr: bytes, role: Role, subject: str, hive: str | None = None) -> Renewed:
        names = own_names(self._settings.server.allowed_hosts) if role is Role.QUEEN else ()
        made = self.authority.issue(csr, role, subject, names, self._lifetime, hive=hive)
        return Renewed(made.certificate, self.authority.roots_pem(), self.authority.issued.revoked())


async def _ask(
    url: str | None, identity: Identity, question: Callable[[CertificatesClient], Awaitable[CertificateGiven]]
) -> Renewed:
    if url is None:
        raise UnreachableError("No queen is known yet, who gives certificates.")
    transport = Transport(url, Credentials(None, identity), QUEEN)
    try:
        given = await question(CertificatesClient(transport))
    finally:
        await transport.close()
    return Renewed(
        given.certificate.encode(), given.roots.encode(), frozenset(int(serial, 16) for serial in given.revoked)
    )


def brought_by(settings: Settings) -> OperatorsCertificate | None:
    """The certificate that the operator brings; not opened.

    Raises:
        ConfigurationError: certificate or key is missing.
    """
    certificate, key = settings.server.tls_certificate, settings.server.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing, given = (
            ("server.tls_key", "server.tls_certificate")
            if key is None
            else ("server.tls_certificate", "server.tls_key")
        )
        raise ConfigurationError(f"{given} is set and {missing} is not: a certificate needs its key. Set both.")
    return OperatorsCertificate(Path(certificate).expanduser(), Path(key).expanduser())


def own_names(further: Sequence[str]) -> list[str]:
    """Names and addresses of this machine under which browsers and programs may call it."""
    found = [
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in {socket.AF_INET, socket.AF_INET6}
    ]
    return list(dict.fromkeys([*found, socket.gethostname(), "localhost", *further]))
