"""Whether a file is what its vendor promised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rbee.contract.checksums import has_checksum, matches
from rbee.contract.disk import file_error
from rbee.contract.errors import ModelFileError
from rbee.contract.types import ModelFile, ModelVariant
from rbee.contract.vendor import CancelToken
from rbee.contract.wire import FileVerdict


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
        ConfigurationError: it cannot be read.
        CancelledByCallerError: through `cancel`.
    """
    try:
        _verify(folder, file, variant, linked, cancel)
    except OSError as error:
        raise file_error(folder, file.name, error) from error


def _verify(folder: Path, file: ModelFile, variant: ModelVariant, linked: bool, cancel: CancelToken) -> None:
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
