"""A certificate that the operator brings, for browsers and SDKs that do not know the colony's authority."""

from __future__ import annotations

import logging
import ssl
import stat
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from rbee.contract.errors import ConfigurationError
from rbee.trust.certificates import read_certificates
from rbee.trust.names import is_internal

log = logging.getLogger(__name__)

_LOOK_S = 1.0
"""Between two looks whether the files have changed."""


class OperatorsCertificate:
    """Shown to whoever calls by a name that is none of the colony's own; read anew when its files change.

    Args:
        certificate: file in PEM, with those between it and its authority behind it.
        key: file of its private key, in PEM, without a passphrase.
        now: the time, with a time zone.
    """

    def __init__(self, certificate: Path, key: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.certificate = certificate
        self.key = key
        self._now = now
        self._context: ssl.SSLContext | None = None
        self._stamp: tuple[int, ...] = ()
        self._looked = 0.0

    def open(self) -> ssl.SSLContext:
        """Read the files.

        Raises:
            ConfigurationError: one cannot be read or is damaged, the key is another one's or can be read by others, or
                the certificate has ended.
        """
        stamp = self._stamped()
        found = self.read()
        if found.not_valid_after_utc <= self._now():
            raise ConfigurationError(
                f"The certificate in '{self.certificate}' (server.tls_certificate) ended on "
                f"{found.not_valid_after_utc:%Y-%m-%d}. Put a renewed one in its place."
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self.key.stat().st_mode & stat.S_IRWXO:
                raise ConfigurationError(
                    f"Key '{self.key}' (server.tls_key) can be read by others. Run: chmod o= '{self.key}'"
                )
            context.load_cert_chain(self.certificate, self.key, password=_no_passphrase)
        except _PassphraseError as error:
            raise ConfigurationError(
                f"Key '{self.key}' (server.tls_key) asks for a passphrase. Give one without: openssl pkey -in "
                f"'{self.key}' -out NEW"
            ) from error
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"Certificate '{self.certificate}' and key '{self.key}' do not belong together, or one is damaged "
                f"({error.reason or 'not PEM'}). See server.tls_certificate and server.tls_key."
            ) from error
        except OSError as error:
            raise ConfigurationError(f"Key '{self.key}' (server.tls_key) cannot be read: {error.strerror}.") from error
        self._context, self._stamp = context, stamp
        return context

    def read(self) -> x509.Certificate:
        """The certificate itself; raises as `open`."""
        try:
            pem = self.certificate.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"Certificate '{self.certificate}' (server.tls_certificate) cannot be read: {error.strerror}."
            ) from error
        return read_certificates(pem, f"File '{self.certificate}' (server.tls_certificate)")[0]

    def names(self) -> tuple[str, ...]:
        """Names that it was made for, without those of patterns; raises as `open`."""
        try:
            found = self.read().extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return ()
        return tuple(name.lower() for name in found.value.get_values_for_type(x509.DNSName) if "*" not in name)

    def choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        """Answer a caller with this certificate, where the name that he calls is none of the colony's own.

        To be the `sni_callback` of a context.  Who calls without a name is a program of the colony, or has an address
        alone, for which few certificates are made.
        """
        if name is None or is_internal(name):
            return
        context = self._current()
        if context is not None:
            connection.context = context

    def _current(self) -> ssl.SSLContext | None:
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            stamp = self._stamped()
            if stamp != self._stamp:
                try:
                    self.open()
                    log.info("the certificate in %s was read anew", self.certificate)
                except ConfigurationError as error:
                    # Half of a renewal may be written; the one before goes on.
                    self._stamp = stamp
                    log.warning("the certificate that was brought stays as it was: %s", error.message)
        return self._context

    def _stamped(self) -> tuple[int, ...]:
        found: list[int] = []
        for path in (self.certificate, self.key):
            try:
                status = path.stat()
            except OSError:
                found.append(0)
            else:
                found += (status.st_mtime_ns, status.st_ino, status.st_size)
        return tuple(found)


class _PassphraseError(Exception):
    pass


def _no_passphrase() -> str:
    # Asked for by OpenSSL; without an answer it would ask the terminal.
    raise _PassphraseError
