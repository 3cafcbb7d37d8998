"""Where the files of models lie: names of folders, what is in them, and how one goes away.

Below the folder of models::

    <key>/            one model, whole and verified, with the record that tells which
    .parts/<key>/     what an unfinished fetch has brought, from which a further try goes on
    .trash/           what is about to be deleted
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import uuid
from pathlib import Path

import msgspec

from rbee.contract.file_names import RECORD, check_names
from rbee.contract.own_files import write_whole
from rbee.contract.types import ModelVariant

PARTS = ".parts"
"""Folder of unfinished fetches, below that of the models."""

TRASH = ".trash"
"""Folder of what is about to be deleted, likewise."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

_LARGEST_RECORD = 16 * 1024 * 1024
_FOLDER_FILE = "config.json"
"""Where this stands beside the weights, an engine opens the folder and not a single file."""


def folder_name(model_id: str) -> str:
    """A folder's name for a model: readable, safe on every file system, different for different models."""
    digest = hashlib.sha256(model_id.encode()).hexdigest()[:10]
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", model_id).strip("-.")[:80]
    return f"{readable}-{digest}"


def opened_path(variant: ModelVariant, folder: Path) -> Path | None:
    """What an engine is pointed at: the first file, or the folder of a model that is more than one file.

    Args:
        variant: the model.
        folder: where its files are.
    """
    if variant.in_place is not None:
        return Path(variant.in_place)
    if not variant.files:
        return None
    if any(file.name == _FOLDER_FILE for file in variant.files):
        return folder
    return folder / variant.files[0].name


def is_complete(variant: ModelVariant, folder: Path) -> bool:
    """Whether the files of a model are there with their sizes; checksums were checked when they came.

    Args:
        variant: the model.
        folder: where its files are, unless they lie in place.
    """
    if variant.in_place is not None:
        return Path(variant.in_place).exists()
    return all(has_size(folder / file.name, file.size_bytes) for file in variant.files)


def has_size(path: Path, size_bytes: int | None) -> bool:
    """Whether a file is there and as long as it should be; any length will do where None is given."""
    try:
        found = path.stat().st_size
    except OSError:
        return False
    return size_bytes is None or found == size_bytes


def checked_names(variant: ModelVariant) -> None:
    """Refuse a model whose files would not stay below its folder, or would get in each other's way.

    Raises:
        ModelFileError: naming the file.
    """
    check_names(variant.name, variant.files)


def write_record(folder: Path, variant: ModelVariant) -> None:
    """Say in a folder which model it is of."""
    write_whole(folder / RECORD, msgspec.json.encode(variant))


def read_record(folder: Path) -> ModelVariant | None:
    """Which model a folder is of; None when it does not tell."""
    path = folder / RECORD
    try:
        if path.stat().st_size > _LARGEST_RECORD:
            return None
        return msgspec.json.decode(path.read_bytes(), type=ModelVariant)
    except (OSError, msgspec.DecodeError):
        return None


def folders_of_models(models: Path) -> list[Path]:
    """Folders that hold a model each, sorted."""
    with contextlib.suppress(OSError):
        return sorted(path for path in models.iterdir() if path.is_dir() and not path.name.startswith("."))
    return []


def discard(models: Path, folder: Path) -> None:
    """Delete a model's folder.  Blocks: for a thread.

    It is moved aside first: whoever fetches the model anew meanwhile finds either all of it or nothing.
    """
    doomed = set_aside(models, folder)
    if doomed is not None:
        shutil.rmtree(doomed, ignore_errors=True)


def set_aside(models: Path, folder: Path) -> Path | None:
    """Move a folder to what is about to be deleted, in one step; None when there is none."""
    trash = models / TRASH
    try:
        trash.mkdir(exist_ok=True)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        # Not even a folder has room: it is made of the one that goes.
        return _moved(folder, trash)
    return _moved(folder, trash / uuid.uuid4().hex)


def _moved(folder: Path, doomed: Path) -> Path | None:
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return None
    return doomed


def swap_in(models: Path, new: Path, final: Path) -> None:
    """Put a folder in the place of another; on failure the other one stays.  Blocks: for a thread.

    Raises:
        OSError: it cannot be moved.
    """
    old = set_aside(models, final)
    try:
        new.rename(final)
    except OSError:
        if old is not None:
            old.rename(final)
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def disk_bytes(folder: Path) -> int:
    """What a folder's deletion would free: files that another folder shares, and those behind links, count nothing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in set(names) - {RECORD}:
            with contextlib.suppress(OSError):
                found = (Path(root) / name).lstat()
                total += found.st_size if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else 0
    return total
