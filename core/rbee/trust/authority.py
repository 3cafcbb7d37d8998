"""The colony's certificate authority: one key in the queen's home, which signs who is who."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509

from rbee.contract.errors import AuthenticationError, ConfigurationError
from rbee.contract.wire import utc_now
from rbee.trust.certificates import (
    Key,
    check_signed,
    fingerprint,
    key_id,
    key_pem,
    make_root,
    new_key,
    pem_of,
    read_certificates,
    read_key,
    read_request,
    sign,
)
from rbee.trust.issued import Entry, IssuedCertificates
from rbee.trust.names import Role
from rbee.trust.private import make_folder, read_private, write_private

_FILE, _COLONY = "authority.pem", "colony"
_NEXT, _FORMER = "next", "former"
"""Beginnings of file names that go on with seconds since 1970: when it begins to sign, and until when it is trusted."""
_YEARS = 10


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that was made.

    Attributes:
        certificate: PEM.
        serial: its number.
        role: whose: what it is.
        subject: and which.
        expires_at: its end.
    """

    certificate: bytes
    serial: int
    role: Role
    subject: str
    expires_at: datetime


class Authority:
    """Signs, and writes down what it has signed.

    Args:
        folder: of its files, 0700.
        now: the time, with a time zone.

    Attributes:
        issued: what was signed and taken back.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime] = utc_now) -> None:
        self._folder = folder
        self._now = now
        self.issued = IssuedCertificates(folder, now)
        # One thing: of two, another thread could see those that do not belong together.
        self._signer: tuple[Key, x509.Certificate] | None = None
        self._stamp: tuple[int, int] | None = None

    @property
    def folder(self) -> Path:
        """Of its files."""
        return self._folder

    @property
    def exists(self) -> bool:
        """Whether there is one already."""
        return (self._folder / _FILE).is_file()

    def open(self) -> None:
        """Read its files, or make an authority: of two who do so at once, both have the same.

        Raises:
            ConfigurationError: a file is damaged, can be read by others, or cannot be written.
        """
        make_folder(self._folder)
        if read_private(self._folder / _FILE) is None:
            key = new_key()
            root = make_root(key, key_id(make_root(key, "", self._now(), 1)), self._now(), _YEARS)
            write_private(self._folder / _FILE, key_pem(key) + pem_of([root]), replace=False)
        self._read()
        if read_private(self._folder / _COLONY) is None:
            write_private(self._folder / _COLONY, key_id(self._opened()[1]).encode() + b"\n", replace=False)

    @property
    def colony(self) -> str:
        """The colony's id: 16 hexadecimal digits, the same for ever."""
        text = read_private(self._folder / _COLONY)
        return key_id(self._opened()[1]) if text is None else text.decode("ascii").strip()

    @property
    def fingerprint(self) -> str:
        """Of the certificate that signs now."""
        self._settle()
        return fingerprint(self._opened()[1])

    @property
    def expires_at(self) -> datetime:
        """When the certificate that signs now ends."""
        self._settle()
        return self._opened()[1].not_valid_after_utc

    def has_signed(self, certificate: bytes) -> bool:
        """Whether a certificate, in PEM, is of the key that signs now."""
        self._settle()
        try:
            check_signed(read_certificates(certificate, "It")[0], [self._opened()[1]])
        except AuthenticationError:
            return False
        return True

    def roots(self) -> list[x509.Certificate]:
        """Certificates that are trusted: the one that signs, the one that will, and former ones for a while."""
        self._settle()
        others = [*self._dated(_NEXT), *((at, path) for at, path in self._dated(_FORMER) if at > self._now())]
        found = [(path, read_private(path)) for _, path in others]
        # What is not there any more became the one that signs, or is trusted no more.
        further = [read_certificates(pem, f"File '{path}'")[0] for path, pem in found if pem is not None]
        return [self._opened()[1], *further]

    def roots_pem(self) -> bytes:
        """The same, in PEM."""
        return pem_of(self.roots())

    def issue(
        self,
        request: bytes,
        role: Role,
        subject: str,
        names: Sequence[str],
        lifetime: timedelta,
        *,
        hive: str | None = None,
    ) -> Issued:
        """Sign a request.

        Args:
            request: PEM (PKCS #10).
            role: what its sender is.
            subject: its id.
            names: further names and addresses under which it is called.
            lifetime: from now on.
            hive: that asks, for a worker: what it asked for is revoked with it.

        Raises:
            InvalidRequestError: the request or the id will not do.
            ConfigurationError: it cannot be written down.
        """
        self._settle()
        key, root = self._opened()
        made = sign(read_request(request), role, subject, names, root=root, key=key, now=self._now(), lifetime=lifetime)
        # First: what nobody has written down could not be revoked.
        self.issued.enter(
            Entry(
                serial=made.serial_number,
                role=role,
                subject=subject,
                hive=hive,
                issued_at=self._now(),
                expires_at=made.not_valid_after_utc,
            )
        )
        return Issued(
            certificate=pem_of([made]),
            serial=made.serial_number,
            role=role,
            subject=subject,
            expires_at=made.not_valid_after_utc,
        )

    def rotate(self, lifetime: timedelta, *, at_once: bool = False) -> str:
        """Make a new key.  It is trusted from now on and signs once everybody has heard so, which is with renewals.

        Args:
            lifetime: of programs' certificates; within it all are renewed.
            at_once: sign with the new key from now on, and trust the old one no more: who has not heard of the new one
                has to join again.

        Returns:
            The new fingerprint.
        """
        self._settle()
        key = new_key()
        root = make_root(key, self.colony, self._now(), _YEARS)
        pem = key_pem(key) + pem_of([root])
        if at_once:
            for _, path in (*self._dated(_NEXT), *self._dated(_FORMER)):
                path.unlink(missing_ok=True)
            write_private(self._folder / _FILE, pem)
            self.issued.clear()
            return fingerprint(root)
        for _, path in self._dated(_NEXT):
            # It has signed nothing.
            path.unlink(missing_ok=True)
        begins = self._now() + lifetime
        write_private(self._folder / f"{_NEXT}-{int(begins.timestamp())}.pem", pem)
        return fingerprint(root)

    def _settle(self) -> None:
        """Let the next key sign whose time has come, and forget what is trusted no more."""
        now = self._now()
        for at, path in self._dated(_NEXT):
            if at > now:
                continue
            pem = read_private(path)
            if pem is None:
                # Another process was quicker.
                continue
            begun = read_certificates(pem, f"File '{path}'")[0].not_valid_before_utc
            old = read_private(self._folder / _FILE) or b""
            root = read_certificates(old, f"File '{self._folder / _FILE}'")[0]
            # Signed by the old key were, at the last, certificates of as long a life as it took to tell of the new one.
            until = at + max(timedelta(hours=1), 2 * (at - begun))
            # Whom to trust first: a crash in between leaves one too many, never one too few.
            write_private(self._folder / f"{_FORMER}-{int(until.timestamp())}.pem", pem_of([root]))
            with contextlib.suppress(FileNotFoundError):
                path.replace(self._folder / _FILE)
        for at, path in self._dated(_FORMER):
            if at <= now:
                path.unlink(missing_ok=True)

    def _dated(self, kind: str) -> list[tuple[datetime, Path]]:
        found = []
        for path in sorted(self._folder.glob(f"{kind}-*.pem")):
            seconds = path.stem.removeprefix(f"{kind}-")
            if seconds.isdigit():
                found.append((datetime.fromtimestamp(int(seconds), UTC), path))
        return found

    def _read(self) -> tuple[Key, x509.Certificate]:
        stamp = self._stamped()
        pem = read_private(self._folder / _FILE)
        if pem is None:
            raise ConfigurationError(f"There is no authority in '{self._folder}'.")
        what = f"File '{self._folder / _FILE}'"
        found = read_key(pem, what), read_certificates(pem, what)[0]
        self._signer, self._stamp = found, stamp
        return found

    def _stamped(self) -> tuple[int, int] | None:
        try:
            found = (self._folder / _FILE).stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino

    def _opened(self) -> tuple[Key, x509.Certificate]:
        signer = self._signer
        # Another process of this home may have let the next key sign.
        return self._read() if signer is None or self._stamp != self._stamped() else signer
