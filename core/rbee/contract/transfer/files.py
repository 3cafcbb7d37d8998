"""Bringing the files of a variant."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from rbee.contract.amounts import SPARE_BYTES
from rbee.contract.checksums import has_checksum, matches
from rbee.contract.disk import check_room, file_error
from rbee.contract.errors import ModelFileError
from rbee.contract.file_names import PART, check_names
from rbee.contract.http_vendor import HttpModelVendor
from rbee.contract.transfer.one_file import Errand, OneFile
from rbee.contract.transfer.parts import Part
from rbee.contract.transfer.patience import PATIENCE, Patience
from rbee.contract.transfer.progress import Meter
from rbee.contract.transfer.session import Session
from rbee.contract.transfer.watch import Watch
from rbee.contract.types import ModelFile, ModelVariant
from rbee.contract.vendor import CancelToken, FetchProgress


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What a fetch has done.

    Attributes:
        bytes_received: from the network, what came twice counted twice.
        verified: names of the files whose checksum was computed on the way and is the promised one.
    """

    bytes_received: int
    verified: frozenset[str]


def fetch_files(
    vendor: HttpModelVendor,
    variant: ModelVariant,
    destination: Path,
    progress: FetchProgress,
    cancel: CancelToken,
    *,
    files: Sequence[ModelFile] | None = None,
    spare_bytes: int = SPARE_BYTES,
    patience: Patience = PATIENCE,
    keep_older: bool = False,
) -> Fetched:
    """Bring files one after the other.  Blocks: for a thread; an end of the process at any moment is harmless.

    A file grows as ``NAME.part`` with ``NAME.part.json`` beside it, and gets its name once it is whole, proven and on
    the disk.  What an earlier call has left is kept and gone on with.

    Args:
        vendor: says where they are, asked anew for each try.
        variant: whose files.
        destination: an existing folder.
        progress: told bytes of all files together, what was there before included.
        cancel: noticed within a fraction of a second; what has come stays.
        files: only these; all of the variant's by default.
        spare_bytes: to be left of the disk.
        patience: how long and how often things are tried.
        keep_older: this source may be wrong where an earlier one was right: where the whole has not its checksum, what
            came now is thrown away and what an earlier call has left is kept, and nothing is asked for a second time.

    Raises:
        CancelledByCallerError: through the token.
        ConfigurationError: a file cannot be written.
        InsufficientDiskError: the disk is full, or would be.
        ModelFileError: the source has something else than the vendor promised.
        UnavailableError: the source has no time; `retry_after_s` says when to come back.
        UnreachableError: the source does not answer, or not as it must.
        RbeeError: what `HttpModelVendor.refusal` makes of a source that refuses.
    """
    chosen = variant.files if files is None else tuple(files)
    _check_names(variant, chosen, destination)
    meter = Meter(chosen, progress)
    for file in chosen:
        meter.found(file.name, _found(destination, file))
    meter.tell()
    cancel.raise_if_cancelled()
    verified = set()
    with closing(Session(patience)) as session, Watch(cancel, patience) as watch:
        errand = Errand(
            vendor=vendor,
            variant=variant,
            folder=destination,
            meter=meter,
            cancel=cancel,
            session=session,
            watch=watch,
            patience=patience,
            spare_bytes=spare_bytes,
            keep_older=keep_older,
        )
        for file in chosen:
            if _bring(errand, file):
                verified.add(file.name)
            meter.tell()
            cancel.raise_if_cancelled()
    return Fetched(bytes_received=meter.received, verified=frozenset(verified))


def _check_names(variant: ModelVariant, chosen: Sequence[ModelFile], folder: Path) -> None:
    """See that no file leaves the folder or gets in the way of another, one that is there already included."""
    known = {file.name for file in variant.files}
    check_names(variant.name, (*variant.files, *(file for file in chosen if file.name not in known)))
    root = folder.resolve()
    for file in chosen:
        if not (folder / file.name).parent.resolve().is_relative_to(root):
            raise ModelFileError(f"File {file.name!r} of {variant.name!r} would leave its folder; refused.")


def _bring(errand: Errand, file: ModelFile) -> bool:
    """Have one file under its final name; True when it is proven."""
    kept = errand.folder / file.name
    if _has_size(kept, file):
        if not has_checksum(file):
            errand.meter.finished(file.name, kept.stat().st_size)
            return False
        if _is_right(kept, file, errand.cancel):
            errand.meter.finished(file.name, kept.stat().st_size)
            return True
    with Part(errand.folder, file) as part:
        if file.size_bytes is not None:
            check_room(errand.folder, file.name, file.size_bytes - part.length, errand.spare_bytes)
        return OneFile(errand, file, part).bring()


def _has_size(path: Path, file: ModelFile) -> bool:
    try:
        return path.is_file() and file.size_bytes in {None, path.stat().st_size}
    except OSError:
        return False


def _is_right(path: Path, file: ModelFile, cancel: CancelToken) -> bool:
    try:
        return matches(path, file, cancel)
    except OSError as error:
        raise file_error(path.parent, file.name, error) from error


def _found(folder: Path, file: ModelFile) -> int:
    """Bytes of a file that an earlier call has left."""
    for path in (folder / file.name, folder / f"{file.name}{PART}"):
        try:
            return path.stat().st_size
        except OSError:
            continue
    return 0
