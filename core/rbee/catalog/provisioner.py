"""Bringing a variant's files: fetched aside, verified, then visible all at once."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
import uuid
from pathlib import Path, PurePosixPath

from rbee.contract.errors import CancelledByCallerError, InsufficientDiskError, ModelFileError
from rbee.contract.types import ModelFile, ModelVariant
from rbee.contract.vendor import FetchProgress, ModelVendor

PARTS = ".parts"
"""Folder of unfinished fetches, below that of the models."""

TRASH = ".trash"
"""Folder of what is about to be deleted, likewise."""

_BLOCK = 1024 * 1024
_SPARE_BYTES = 256 * 1024 * 1024


class Cancel:
    """A cancel token that any thread may set."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Tell the work to stop."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """True once cancelled."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise once cancelled."""
        if self._event.is_set():
            raise CancelledByCallerError("It was cancelled.")


def folder_name(model_id: str) -> str:
    """A folder's name for a model: readable, safe on every file system, different for different models."""
    digest = hashlib.sha256(model_id.encode()).hexdigest()[:10]
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", model_id).strip("-.")[:80]
    return f"{readable}-{digest}"


def provision(
    vendor: ModelVendor, variant: ModelVariant, models: Path, progress: FetchProgress, cancel: Cancel
) -> Path | None:
    """Bring a variant's files and return what an engine is to open.  Blocks: for a thread.

    Args:
        vendor: fetches.
        variant: what.
        models: folder of the catalogue; parts of unfinished fetches stay in ``.parts`` below it.
        progress: told bytes.
        cancel: ends it early.

    Returns:
        The first file (or the folder, when the format has no single file); None for a model without files.

    Raises:
        CancelledByCallerError, InsufficientDiskError, ModelFileError: as their names say.
    """
    if variant.in_place is not None:
        return Path(variant.in_place)
    if not variant.files:
        return None
    final = models / folder_name(variant.model_id)
    parts = models / PARTS / folder_name(variant.model_id)
    parts.mkdir(parents=True, exist_ok=True)
    _check_space(variant, models, parts)
    vendor.fetch(variant, parts, progress, cancel)
    cancel.raise_if_cancelled()
    for file in variant.files:
        _verify(parts, file, variant, cancel)
    discard(models, final)
    parts.rename(final)
    return final / variant.files[0].name


def discard(models: Path, folder: Path) -> None:
    """Delete a model's folder.  Blocks: for a thread.

    It is moved aside first: whoever fetches the model anew meanwhile finds either all of it or nothing.
    """
    trash = models / TRASH
    trash.mkdir(exist_ok=True)
    doomed = trash / uuid.uuid4().hex
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed, ignore_errors=True)


def is_complete(variant: ModelVariant, path: Path | None) -> bool:
    """Whether the files of a model are still there with their sizes; checksums were checked when they came."""
    if path is None:
        return not variant.files
    if variant.in_place is not None:
        return path.exists()
    # The path is that of the first file, which may lie in a folder of the model's own.
    folder = path.parents[len(PurePosixPath(variant.files[0].name).parts) - 1] if variant.files else path
    return all(_has_size(folder / file.name, file) for file in variant.files)


def _has_size(path: Path, file: ModelFile) -> bool:
    try:
        size = path.stat().st_size
    except OSError:
        return False
    return file.size_bytes is None or size == file.size_bytes


def _check_space(variant: ModelVariant, models: Path, parts: Path) -> None:
    total = variant.size_bytes
    if total is None:
        return
    present = sum(path.stat().st_size for path in parts.rglob("*") if path.is_file())
    needed, free = max(0, total - present), shutil.disk_usage(models).free
    if needed + _SPARE_BYTES > free:
        raise InsufficientDiskError(
            f"Model {variant.name!r} needs {_size(needed)} in '{models}', where {_size(free)} are free "
            f"(rbee leaves {_size(_SPARE_BYTES)} untouched). Make room, or set RBEE_HOME to a larger disk.",
            details={"needed_bytes": needed, "free_bytes": free},
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _verify(folder: Path, file: ModelFile, variant: ModelVariant, cancel: Cancel) -> None:
    pure = PurePosixPath(file.name)
    path = folder / pure
    if pure.is_absolute() or ".." in pure.parts or not path.resolve().is_relative_to(folder.resolve()):
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
    if file.sha256 is None:
        return
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            cancel.raise_if_cancelled()
            digest.update(block)
    if digest.hexdigest() != file.sha256:
        path.unlink()
        raise ModelFileError(
            f"File {file.name!r} of {variant.name!r} does not have the checksum its vendor gives; "
            "it was removed. Fetch the model again."
        )
