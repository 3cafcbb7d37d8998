"""Bringing a variant's files: gathered aside, verified, then visible all at once.  Everything here blocks."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rbee.catalog.cancel import Cancel
from rbee.catalog.layout import (
    PARTS,
    checked_names,
    folder_name,
    has_size,
    opened_path,
    read_record,
    swap_in,
    write_record,
)
from rbee.catalog.links import Copies, forget_links, link_known
from rbee.catalog.verification import verify
from rbee.contract.amounts import SPARE_BYTES, byte_size
from rbee.contract.checksums import content_key
from rbee.contract.errors import (
    CancelledByCallerError,
    InsufficientDiskError,
    ModelNotFoundError,
    RbeeError,
)
from rbee.contract.file_names import PART, RECORD
from rbee.contract.formats import refuse_pickle
from rbee.contract.http_vendor import HttpModelVendor
from rbee.contract.types import ModelFile, ModelVariant
from rbee.contract.vendor import FetchProgress, ModelVendor

if TYPE_CHECKING:
    from rbee.contract.transfer import Fetched

log = logging.getLogger(__name__)


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """Where the files came from.

    Attributes:
        received_bytes: over a line, for this try; None for a vendor that does not tell.
        linked_bytes: of files that lay on this machine.
        origin: what the last source is called, when it was not the vendor; None when it was, or nothing came.
    """

    received_bytes: int | None = 0
    linked_bytes: int = 0
    origin: str | None = None


class Peer(msgspec.Struct, frozen=True):
    """Another place that has the very files.

    Attributes:
        name: for messages.
        vendor: says where they are there.
    """

    name: str
    vendor: HttpModelVendor


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where files may come from.

    Attributes:
        vendor: the model's own; None when only the peers are to be asked.
        peers: tried in their order, before the vendor.
        copies: files of the catalogue by content.
    """

    vendor: ModelVendor | None
    peers: Sequence[Peer] = ()
    copies: Copies = {}


def parts_of(models: Path, model_id: str) -> Path:
    """Folder of what an unfinished fetch has brought."""
    return models / PARTS / folder_name(model_id)


def gather(
    variant: ModelVariant,
    models: Path,
    sources: Sources,
    progress: FetchProgress,
    say: Callable[[str], None],
    cancel: Cancel,
) -> Gathered:
    """Bring a variant's files into its parts, each verified.

    What lies on this machine is linked; the rest is taken from the first peer that gives it, and then from the vendor.

    Args:
        variant: what.
        models: folder of the catalogue.
        sources: where from.
        progress: told bytes.
        say: takes a sentence for whoever watches.
        cancel: ends it early.

    Raises:
        CancelledByCallerError, InsufficientDiskError, ModelFileError: as their names say.
        RbeeError: as the vendor raises.
    """
    checked_names(variant)
    parts = parts_of(models, variant.model_id)
    parts.mkdir(parents=True, exist_ok=True)
    forget_links(parts)
    _forget_others(parts, variant)
    write_record(parts, variant)
    vendor = sources.vendor
    # A vendor that writes by itself might write through a link into another model's file.
    may_link = vendor is None or isinstance(vendor, HttpModelVendor)
    linked = link_known(vendor, variant, parts, sources.copies) if may_link else frozenset()
    check_space(variant, models, parts)
    linked = _still_right(variant, parts, linked, cancel)
    gathered = Gathered(linked_bytes=sum(one.size_bytes or 0 for one in variant.files if one.name in linked))
    gathered, verified, refused = _from_peers(sources.peers, variant, parts, gathered, progress, say, cancel)
    verified |= linked
    missing = _missing(variant, parts)
    if isinstance(vendor, HttpModelVendor):
        if missing:
            fetched = _over_http(vendor, variant, parts, missing, progress, cancel)
            verified |= fetched.verified
            received = (gathered.received_bytes or 0) + fetched.bytes_received
            gathered = msgspec.structs.replace(gathered, received_bytes=received, origin=None)
    elif vendor is not None and (missing or gathered.origin is None):
        vendor.fetch(variant, parts, progress, cancel)
        gathered = msgspec.structs.replace(gathered, received_bytes=None, origin=None)
    elif missing:
        raise refused or ModelNotFoundError(f"No hive has the file {missing[0].name!r} of {variant.name!r} any more.")
    cancel.raise_if_cancelled()
    for file in variant.files:
        if file.name not in verified:
            verify(parts, file, variant, linked=False, cancel=cancel)
        refuse_pickle(parts / file.name)
    return gathered


def publish(variant: ModelVariant, models: Path) -> Path | None:
    """Make gathered files visible, all at once, in the place of those that were there before.

    Returns:
        What an engine is to open.
    """
    final, parts = models / folder_name(variant.model_id), parts_of(models, variant.model_id)
    wanted = {file.name for file in variant.files}
    for path in sorted(parts.rglob("*"), reverse=True):
        name = path.relative_to(parts).as_posix()
        # A vendor may have left more than was asked for: what nobody has verified is not kept.
        if not path.is_dir() and name not in wanted and name != RECORD:
            path.unlink()
        elif path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):
                path.rmdir()
    swap_in(models, parts, final)
    return opened_path(variant, final)


def check_space(variant: ModelVariant, models: Path, parts: Path) -> None:
    """Refuse what the disk has no room for.

    Raises:
        InsufficientDiskError: with the numbers.
    """
    total = variant.size_bytes
    if total is None:
        return
    present = sum(_here(parts, file) for file in variant.files)
    needed, free = max(0, total - present), shutil.disk_usage(models).free
    if needed + SPARE_BYTES > free:
        raise InsufficientDiskError(
            f"Model {variant.name!r} needs {byte_size(needed)} in '{models}', where {byte_size(free)} are free "
            f"(rbee leaves {byte_size(SPARE_BYTES)} untouched). Make room, or set RBEE_HOME to a larger disk.",
            details={"needed_bytes": needed, "free_bytes": free},
        )


def done_bytes(variant: ModelVariant, models: Path) -> int:
    """What is here of a model that is being fetched or failed."""
    parts = parts_of(models, variant.model_id)
    return sum(_here(parts, file) for file in variant.files)


def _here(parts: Path, file: ModelFile) -> int:
    for path in (parts / file.name, parts / f"{file.name}{PART}"):
        with contextlib.suppress(OSError):
            return path.stat().st_size
    return 0


def _missing(variant: ModelVariant, parts: Path) -> list[ModelFile]:
    return [file for file in variant.files if not has_size(parts / file.name, file.size_bytes)]


def _forget_others(parts: Path, variant: ModelVariant) -> None:
    """Parts of another revision: what is not the same file any more is of no use."""
    before = read_record(parts)
    known = {} if before is None else {file.name: file for file in before.files}
    renewed = before is None or before.revision != variant.revision
    for file in variant.files:
        # Without a checksum, the same name may mean another file in another revision.
        if known.get(file.name) != file or (renewed and content_key(file) is None):
            for ending in ("", PART, f"{PART}.json"):
                path = parts / f"{file.name}{ending}"
                if path.is_symlink() or not path.is_dir():
                    path.unlink(missing_ok=True)


def _still_right(variant: ModelVariant, parts: Path, linked: frozenset[str], cancel: Cancel) -> frozenset[str]:
    """Those of the linked files that are what they should be; the others are fetched.

    Files elsewhere may have changed since they were verified there, or may not be ours to read.
    """
    right = set()
    for file in variant.files:
        if file.name in linked:
            cancel.raise_if_cancelled()
            try:
                verify(parts, file, variant, linked=True, cancel=cancel)
                right.add(file.name)
            except CancelledByCallerError:
                raise
            except (RbeeError, OSError) as error:
                log.info("the copy of %s of %s is not taken: %s", file.name, variant.model_id, error)
                (parts / file.name).unlink(missing_ok=True)
    return frozenset(right)


def _from_peers(
    peers: Sequence[Peer],
    variant: ModelVariant,
    parts: Path,
    gathered: Gathered,
    progress: FetchProgress,
    say: Callable[[str], None],
    cancel: Cancel,
) -> tuple[Gathered, frozenset[str], RbeeError | None]:
    """What peers give, which of it has been verified, and why the last one that refused did."""
    verified: frozenset[str] = frozenset()
    refused: RbeeError | None = None
    for peer in peers:
        missing = _missing(variant, parts)
        if not missing:
            break
        say(f"Taking {variant.name} from {peer.name}")
        before = sum(_here(parts, file) for file in missing)
        try:
            fetched = _over_http(peer.vendor, variant, parts, missing, progress, cancel, near=True)
            received, verified = fetched.bytes_received, verified | fetched.verified
        except (CancelledByCallerError, InsufficientDiskError):
            raise
        except RbeeError as error:
            # Whatever is wrong there, another has it; what came is kept.
            refused = error
            log.warning("%s could not give %s: %s", peer.name, variant.model_id, error)
            say(f"{peer.name[:1].upper()}{peer.name[1:]} could not give all of it: {error.message}")
            received = max(0, sum(_here(parts, file) for file in missing) - before)
        gathered = msgspec.structs.replace(
            gathered,
            received_bytes=(gathered.received_bytes or 0) + received,
            origin=peer.name if received else gathered.origin,
        )
    return gathered, verified, refused


def _over_http(
    vendor: HttpModelVendor,
    variant: ModelVariant,
    parts: Path,
    missing: Sequence[ModelFile],
    progress: FetchProgress,
    cancel: Cancel,
    *,
    near: bool = False,
) -> Fetched:
    # Imported late: it brings the HTTP library, which most lives of a hive need never.
    from rbee.contract.transfer import FOR_NEIGHBOURS, PATIENCE, fetch_files

    total = variant.size_bytes
    names = {file.name for file in missing}
    rest = sum(file.size_bytes or 0 for file in variant.files if file.name not in names)
    return fetch_files(
        vendor,
        variant,
        parts,
        lambda done, _total: progress(rest + done, total),
        cancel,
        files=missing,
        patience=FOR_NEIGHBOURS if near else PATIENCE,
        keep_older=near,
    )
