"""Whether a file is what its vendor promised."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from rbee.contract.errors import ModelFileError
from rbee.contract.types import ModelFile, ModelVariant
from rbee.contract.vendor import CancelToken
from rbee.contract.wire import FileVerdict

_BLOCK = 1024 * 1024


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
    if file.sha256 is not None:
        wanted, digest = file.sha256, hashlib.sha256()
    elif file.git_oid is not None:
        # As git names a blob: by its length and its content.
        wanted, digest = file.git_oid, hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    else:
        return True
    with path.open("rb", buffering=0) as stream:
        buffer = bytearray(_BLOCK)
        view = memoryview(buffer)
        while count := stream.readinto(buffer):
            cancel.raise_if_cancelled()
            digest.update(view[:count])
    return digest.hexdigest() == wanted


def verify(folder: Path, file: ModelFile, variant: ModelVariant, linked: bool, cancel: CancelToken) -> None:
    """Check a file that has just come; a wrong one is removed.  Blocks: for a thread.

    Args:
        folder: where the variant's files are.
        file: which.
        variant: of which model.
        linked: the catalogue itself has linked it to a file elsewhere on this machine.
        cancel: ends it early.

    Raises:
        ModelFileError: it is missing, too long or short, or another; or it lies elsewhere by a link that a vendor made.
        CancelledByCallerError: through `cancel`.
    """
    path = folder / file.name
    if not linked and not path.resolve().is_relative_to(folder.resolve()):
        raise ModelFileError(f"Model {variant.name!r} names the file {file.name!r}, which leaves its folder; refused.")
    if not path.is_file():
        raise ModelFileError(f"Vendor {variant.vendor!r} did not bring the file {file.name!r} of {variant.name!r}.")
    size = path.stat().st_size
    if file.size_bytes is not None and size != file.size_bytes:
        path.unlink()
        raise ModelFileError(
            f"File {file.name!r} of {variant.name!r} has {size} bytes instead of {file.size_bytes}; "
            "it was removed. Fetch the model again."
        )
    if not matches(path, file, cancel):
        path.unlink()
        raise ModelFileError(
            f"File {file.name!r} of {variant.name!r} does not have the checksum its vendor gives; "
            "it was removed. Fetch the model again."
        )


def verdicts(variant: ModelVariant, folder: Path, cancel: CancelToken) -> Sequence[FileVerdict]:
    """Every file of a model that is here, read anew.  Blocks: for a thread.

    Args:
        variant: the model.
        folder: where its files are; for one in place, the file or folder itself.
        cancel: ends it early.

    Raises:
        CancelledByCallerError: through `cancel`.
    """
    if variant.in_place is not None and folder.is_file():
        folder = folder.parent
    return [_verdict(folder / file.name, file, cancel) for file in variant.files]


def _verdict(path: Path, file: ModelFile, cancel: CancelToken) -> FileVerdict:
    try:
        size = path.stat().st_size
        if file.size_bytes is not None and size != file.size_bytes:
            return FileVerdict(
                name=file.name, status="changed", detail=f"it has {size} bytes instead of {file.size_bytes}"
            )
        if not has_checksum(file):
            return FileVerdict(name=file.name, status="unchecked", detail="its vendor gives no checksum")
        if not matches(path, file, cancel):
            return FileVerdict(name=file.name, status="changed", detail="its checksum is another")
    except FileNotFoundError:
        return FileVerdict(name=file.name, status="missing")
    except OSError as error:
        return FileVerdict(name=file.name, status="missing", detail=f"it cannot be read: {error.strerror or error}")
    return FileVerdict(name=file.name, status="ok")
