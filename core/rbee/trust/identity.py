"""A program's own key and certificate, and whom it trusts: the files, and what TLS makes of them."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from rbee.contract.errors import AuthenticationError, ConfigurationError
from rbee.trust.certificates import (
    EARLY,
    Key,
    check_signed,
    key_pem,
    make_request,
    new_key,
    peer_of,
    pem_of,
    public_der,
    read_certificates,
    read_key,
)
from rbee.trust.handshakes import CheckedContext
from rbee.trust.names import Peer
from rbee.trust.operators import OperatorsCertificate
from rbee.trust.private import make_folder, read_private, write_private
from rbee.trust.revoked import RevokedSerials

_LEAST_LOOK_S, _MOST_LOOK_S = 0.5, 30.0
_LOOKS = 16

_KEY, _ROOTS, _QUEEN = "identity.pem", "roots.pem", "queen"
"""Key and certificate are one file: of two, a crash could leave those that do not belong together."""


class Identity:
    """What a program shows to others, and what it asks of them.

    The contexts are live: a renewed certificate holds for every connection made from then on, and open ones go on.

    Args:
        folder: of the files, 0700.
        shows: the certificate; False for a person at this machine, who trusts whom it trusts and is not it.
    """

    def __init__(self, folder: Path, *, shows: bool = True) -> None:
        self._folder = folder
        self._shows = shows
        self._certificate: x509.Certificate | None = None
        self._key: Key | None = None
        self._server: ssl.SSLContext | None = None
        self._client: ssl.SSLContext | None = None
        self._trusted: list[x509.Certificate] | None = None
        self._stamp = 0
        self._others: OperatorsCertificate | None = None
        self._revoked = RevokedSerials(folder)

    @property
    def folder(self) -> Path:
        """Of the files."""
        return self._folder

    @property
    def exists(self) -> bool:
        """Whether there is a certificate to show."""
        return self._shows and (self._folder / _KEY).is_file() and self.trusts

    @property
    def trusts(self) -> bool:
        """Whether it is known whom to trust."""
        return (self._folder / _ROOTS).is_file()

    def open(self) -> None:
        """Read the files.

        Raises:
            ConfigurationError: one is missing, damaged, or can be read by others.
        """
        pem = read_private(self._folder / _KEY)
        if pem is None:
            raise ConfigurationError(f"There is no certificate in '{self._folder}'. {JOIN}")
        self._stamp = self._stamped()
        what = f"File '{self._folder / _KEY}'"
        self._key = read_key(pem, what)
        self._certificate = read_certificates(pem, what)[0]
        if public_der(self._certificate.public_key()) != public_der(self._key.public_key()):
            raise ConfigurationError(f"{what} holds a certificate of another key. {JOIN}")

    @property
    def peer(self) -> Peer:
        """Who this program is, by its certificate."""
        peer = peer_of(self._opened()[1].public_bytes(serialization.Encoding.DER))
        if peer is None:
            raise ConfigurationError(f"The certificate in '{self._folder}' names no program of a colony. {JOIN}")
        return peer

    def judge(self, der: bytes) -> Peer | None:
        """Who the holder of a certificate is, in DER; None when it is none of this colony's, or was revoked.

        TLS has judged it before.  It cannot forget an authority that was given up, or know what was revoked.
        """
        try:
            certificate = x509.load_der_x509_certificate(der)
            check_signed(certificate, self._roots())
        except (ValueError, AuthenticationError):
            return None
        peer = peer_of(der)
        return peer if peer is not None and self.holds(peer) else None

    def holds(self, peer: Peer) -> bool:
        """Whether a certificate that was judged before was not revoked meanwhile."""
        return peer.serial not in self._revoked.get()

    @property
    def revoked(self) -> frozenset[int]:
        """Serial numbers of certificates that hold no more, as far as the programs that share the files have heard."""
        return self._revoked.get()

    def revoke(self, serials: frozenset[int]) -> None:
        """These hold no more, and no others; raises ConfigurationError when that cannot be kept."""
        make_folder(self._folder)
        self._revoked.put(serials)

    def show_to_others(self, own: OperatorsCertificate) -> None:
        """Show callers who use none of the colony's names a certificate of the operator's.

        Raises:
            ConfigurationError: it will not do.
        """
        own.open()
        self._others = own
        if self._server is not None:
            self._server.sni_callback = own.choose

    @property
    def expires_at(self) -> datetime:
        """When the certificate ends."""
        return self._opened()[1].not_valid_after_utc

    def wants_renewal(self, now: datetime) -> bool:
        """Whether half of its time is over."""
        return now >= self.expires_at - self._lifetime() / 2

    def look_s(self) -> float:
        """Seconds between two looks whether it wants renewal, or was renewed: few enough to do both in time."""
        return min(_MOST_LOOK_S, max(_LEAST_LOOK_S, self._lifetime().total_seconds() / _LOOKS))

    def _lifetime(self) -> timedelta:
        certificate = self._opened()[1]
        whole: timedelta = certificate.not_valid_after_utc - certificate.not_valid_before_utc - EARLY
        return max(whole, timedelta())

    def take_renewed(self) -> None:
        """Use what another program of this home has renewed in the files; nothing when they are as they were.

        Raises:
            ConfigurationError: they are damaged.
        """
        stamp = self._stamped()
        if self._certificate is None or stamp == self._stamp:
            return
        self._trusted = None
        self._stamp = stamp
        self.open()
        roots = pem_of(self._roots()).decode("ascii")
        for context in (self._server, self._client):
            if context is not None:
                context.load_verify_locations(cadata=roots)
                context.load_cert_chain(self._folder / _KEY)

    def _stamped(self) -> int:
        try:
            return (self._folder / _KEY).stat().st_mtime_ns
        except OSError:
            return 0

    @staticmethod
    def ask() -> tuple[Key, bytes]:
        """A fresh key, and the request for its certificate in PEM; kept by `take`."""
        key = new_key()
        return key, make_request(key)

    def certificate_pem(self) -> bytes:
        """The certificate, in PEM."""
        return self._opened()[1].public_bytes(serialization.Encoding.PEM)

    def key(self) -> Key:
        """The private key."""
        return self._opened()[0]

    def take(self, key: Key, certificate: bytes, roots: bytes) -> None:
        """Keep a new certificate and whom to trust, and use them from now on.

        Args:
            key: of the certificate.
            certificate: PEM.
            roots: PEM.

        Raises:
            ConfigurationError: they are damaged, do not belong together, or cannot be written.
        """
        made = read_certificates(certificate, "The certificate")[0]
        if public_der(made.public_key()) != public_der(key.public_key()):
            raise ConfigurationError("The certificate is of another key than the one it was asked for.")
        make_folder(self._folder)
        self.trust(roots)
        write_private(self._folder / _KEY, key_pem(key) + certificate)
        self._stamp = self._stamped()
        self._key, self._certificate = key, made
        for context in (self._server, self._client):
            if context is not None:
                context.load_cert_chain(self._folder / _KEY)

    def remember_queen(self, url: str) -> None:
        """Keep where the queen was when this machine joined her colony; raises as `take`."""
        write_private(self._folder / _QUEEN, url.encode() + b"\n")

    @property
    def queen_url(self) -> str | None:
        """Where the queen was then; None when nobody has said."""
        text = read_private(self._folder / _QUEEN)
        return None if text is None else text.decode("utf-8", "replace").strip() or None

    def trust(self, roots: bytes) -> None:
        """Keep whom to trust.

        Raises:
            ConfigurationError: they are damaged, or cannot be written.
        """
        self._trusted = read_certificates(roots, "What to trust")
        make_folder(self._folder)
        write_private(self._folder / _ROOTS, roots)
        for context in (self._server, self._client):
            if context is not None:
                context.load_verify_locations(cadata=roots.decode("ascii"))

    def server_context(self) -> ssl.SSLContext:
        """For connections from others, who may show a certificate of the colony's and need not."""
        if self._server is None:
            self._opened()
            context = self._context(ssl.PROTOCOL_TLS_SERVER)
            context.verify_mode = ssl.CERT_OPTIONAL
            # A resumed session would not show again whose it is.
            context.num_tickets = 0
            context.load_cert_chain(self._folder / _KEY)
            if self._others is not None:
                context.sni_callback = self._others.choose
            self._server = context
        return self._server

    def client_context(self) -> ssl.SSLContext:
        """For connections to others; shows the certificate where there is one."""
        if self._client is None:
            context = self._context(ssl.PROTOCOL_TLS_CLIENT)
            if self.exists:
                self._opened()
                context.load_cert_chain(self._folder / _KEY)
            self._client = context
        return self._client

    def anybody_context(self) -> ssl.SSLContext:
        """For connections to whichever program of the colony answers."""
        context = self._context(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        if self.exists:
            self._opened()
            context.load_cert_chain(self._folder / _KEY)
        return context

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = CheckedContext(protocol, self.judge)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=pem_of(self._roots()).decode("ascii"))
        return context

    def _roots(self) -> list[x509.Certificate]:
        if self._trusted is None:
            path = self._folder / _ROOTS
            roots = read_private(path)
            if roots is None:
                raise ConfigurationError(f"It is not known whom to trust: there is no '{path}'. {JOIN}")
            self._trusted = read_certificates(roots, f"File '{path}'")
        return self._trusted

    def _opened(self) -> tuple[Key, x509.Certificate]:
        if self._key is None or self._certificate is None:
            self.open()
        if self._key is None or self._certificate is None:
            raise ConfigurationError(f"There is no certificate in '{self._folder}'. {JOIN}")
        return self._key, self._certificate


JOIN = "Let this machine join the colony: `rbee hive invite` on the queen's machine prints the command."
