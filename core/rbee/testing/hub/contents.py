"""Files as a hub keeps them: small ones in git, large ones beside it (LFS)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

Source = bytes | str | Path
"""What a test gives for a file: its bytes, its text, or where it lies."""

LARGE: Final = 10_000_000
"""Bytes from which on a file is kept beside git, whatever it is called."""

_LARGE_SUFFIXES: Final = frozenset(
    {".gguf", ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".onnx", ".npz", ".model", ".msgpack"}
)
_BLOCK: Final = 1 << 20


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a commit.

    Attributes:
        path: below the repository's root, with forward slashes.
        size: in bytes.
        sha256: of its content.
        oid: git's id of what lies in git: of the content, or of the pointer to it.
        pointer_size: of that pointer, in bytes; None for a file that lies in git itself.
        content: its bytes, or where they lie.
    """

    path: str
    size: int
    sha256: str
    oid: str
    pointer_size: int | None
    content: bytes | Path

    @property
    def large(self) -> bool:
        """Whether it is kept beside git."""
        return self.pointer_size is not None

    @property
    def etag(self) -> str:
        """Tells versions apart, without quotes."""
        return self.sha256 if self.large else self.oid

    def read(self) -> bytes:
        """All of it."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


def entry_of(path: str, source: Source) -> Entry:
    """A file ready to be served; one on the disk is read once, for its checksums.

    Raises:
        ValueError: the path is none that git would keep.
    """
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"'{path}' is no path of a file in a repository; write it like 'folder/file.gguf'")
    content = source.encode() if isinstance(source, str) else source
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    large = size >= LARGE or Path(path).suffix.lower() in _LARGE_SUFFIXES
    digest = _digest(content, hashlib.sha256())
    if not large:
        oid = _digest(content, hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False))
        return Entry(path=path, size=size, sha256=digest, oid=oid, pointer_size=None, content=content)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n".encode()
    return Entry(
        path=path,
        size=size,
        sha256=digest,
        oid=hashlib.sha1(b"blob %d\0" % len(pointer) + pointer, usedforsecurity=False).hexdigest(),
        pointer_size=len(pointer),
        content=content,
    )


def _digest(content: bytes | Path, digest: hashlib._Hash) -> str:
    if isinstance(content, bytes):
        digest.update(content)
    else:
        with content.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
