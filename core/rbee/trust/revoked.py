"""What holds no more, as far as a program has heard: a file beside its certificate."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from rbee.contract.errors import ConfigurationError
from rbee.trust.private import read_private, write_private

_FILE, _ROOTS = "revoked.json", "roots.pem"


class RevokedSerials:
    """Numbers of certificates, in a file that several processes may read and write.

    Args:
        folder: of the certificate.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._stamp: tuple[int, int] | None = None
        self._serials: frozenset[int] = frozenset()

    def get(self) -> frozenset[int]:
        """All of them; read again when the file has changed.

        Raises:
            ConfigurationError: it is damaged: nobody can be believed then.
        """
        try:
            found = self._path.stat()
        except OSError:
            self._stamp, self._serials = None, frozenset()
            return self._serials
        # Each writing puts a new file in the place of the old one.
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            self._serials = self._read()
            self._stamp = stamp
        return self._serials

    def put(self, serials: frozenset[int]) -> None:
        """These, and no others, also in the place of a damaged file.

        Raises:
            ConfigurationError: they cannot be written.
        """
        try:
            known = self.get() == serials
        except ConfigurationError:
            known = False
        if not known:
            write_private(self._path, msgspec.json.encode([f"{serial:x}" for serial in sorted(serials)]))

    def _read(self) -> frozenset[int]:
        raw = read_private(self._path)
        try:
            return frozenset(int(one, 16) for one in msgspec.json.decode(raw or b"[]", type=list[str]))
        except (msgspec.DecodeError, ValueError) as error:
            raise ConfigurationError(
                f"File '{self._path}', the list of revoked certificates, is damaged. Remove it: the queen tells it "
                "again."
            ) from error


def tell_revoked(folder: Path, serials: Iterable[int]) -> None:
    """Let all programs know whose certificates are in a folder, or one folder below it.

    Args:
        folder: of them.
        serials: that hold no more; all of them, what was told before and is not among them holds again.

    Raises:
        ConfigurationError: one cannot be told.
    """
    found = frozenset(serials)
    for one in (folder, *(sorted(folder.iterdir()) if folder.is_dir() else ())):
        if (one / _ROOTS).is_file():
            RevokedSerials(one).put(found)
