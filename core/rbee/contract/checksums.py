"""Checksums as vendors give them, and whether a file has its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from rbee.contract.types import ModelFile
from rbee.contract.vendor import CancelToken

_BLOCK = 1024 * 1024


class Checksum:
    """Computes what a vendor promises of a file.

    Args:
        file: with a checksum.
        size: of all of it; only a git id takes it.
    """

    def __init__(self, file: ModelFile, size: int | None) -> None:
        self._promised = file.sha256 or file.git_oid
        if file.sha256 is not None:
            self._digest = hashlib.sha256()
        else:
            # As git names a blob: by its length and its content.
            self._digest = hashlib.sha1(b"blob %d\0" % (size or 0), usedforsecurity=False)

    def update(self, block: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._digest.update(block)

    def is_promised(self) -> bool:
        """Whether all bytes so far are the file."""
        return self._digest.hexdigest() == self._promised


def has_checksum(file: ModelFile) -> bool:
    """Whether a file's content can be told from another's."""
    return file.sha256 is not None or file.git_oid is not None


def content_key(file: ModelFile) -> tuple[str, str, int | None] | None:
    """Equal for files of equal content; None for one of which too little is known."""
    if file.sha256 is not None:
        return ("sha256", file.sha256, file.size_bytes)
    if file.git_oid is not None:
        return ("git", file.git_oid, file.size_bytes)
    return None


def matches(path: Path, file: ModelFile, cancel: CancelToken) -> bool:
    """Whether a file's content has the checksum; true for one of which none is known.  Blocks: for a thread.

    Raises:
        CancelledByCallerError: through `cancel`.
        OSError: it cannot be read.
    """
    if not has_checksum(file):
        return True
    checksum = Checksum(file, path.stat().st_size)
    for block in _blocks(path, cancel):
        checksum.update(block)
    return checksum.is_promised()


def sha256_of(path: Path, cancel: CancelToken | None = None) -> str:
    """The SHA-256 of a file, lower-case hex.  Blocks: for a thread.

    Raises:
        CancelledByCallerError: through `cancel`.
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    for block in _blocks(path, cancel):
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path, cancel: CancelToken | None) -> Iterator[memoryview]:
    with path.open("rb", buffering=0) as stream:
        view = memoryview(bytearray(_BLOCK))
        while count := stream.readinto(view):
            if cancel is not None:
                cancel.raise_if_cancelled()
            yield view[:count]
