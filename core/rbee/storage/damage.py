"""Damaged files of SQLite: how they are told, what helps, and how they are put out of the way."""

from __future__ import annotations

import errno
import shlex
import sqlite3
from datetime import datetime
from itertools import count
from pathlib import Path

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_ROOM_BESIDE = frozenset({sqlite3.SQLITE_IOERR_SHMSIZE})
"""How it is told where the index of the journal cannot be made."""
_FIRST_BYTE = 0xFF
"""Of an extended code, which says more exactly what its first byte says."""


def is_damage(error: BaseException | None) -> bool:
    """Whether an error says that a file is no data base, or no sound one: no other time would help."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, IsADirectoryError) or (isinstance(code, int) and code & _FIRST_BYTE in _DAMAGED)


def is_full(error: BaseException) -> bool:
    """Whether there was no room on the disk: nothing is wrong with the file.

    Args:
        error: of SQLite, of the system, or SQLAlchemy's around either.
    """
    said = getattr(error, "orig", None) or error
    code = getattr(said, "sqlite_errorcode", None)
    if isinstance(code, int):
        return code & _FIRST_BYTE == sqlite3.SQLITE_FULL or code in _NO_ROOM_BESIDE
    return isinstance(said, OSError) and said.errno in _FULL


def why_of_no_use(error: BaseException) -> str | None:
    """What is the matter with a file that is damaged, or that this user may not read; None for any other failure.

    Args:
        error: as a store raises it: what SQLite or the system said is behind it.
    """
    behind: BaseException | None = error
    while behind is not None:
        # SQLAlchemy keeps the driver's own error there.
        said = getattr(behind, "orig", None) or behind
        if is_damage(said) or isinstance(said, PermissionError):
            return getattr(said, "strerror", None) or str(said)
        behind = behind.__cause__
    return None


def set_aside(path: Path, now: datetime) -> Path:
    """Give a file another name in its folder, with what SQLite keeps beside it; returns the new name.

    Args:
        path: nobody may have it open.
        now: goes into the name.

    Raises:
        OSError: it cannot be renamed.
    """
    stem = f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}"
    names = (path.with_name(stem if number == 0 else f"{stem}-{number}") for number in count())
    away = next(name for name in names if not name.exists())
    # The file itself last: its journal beside a new file would be taken for that one's.
    for end in ("-wal", "-shm", ""):
        part = path.with_name(path.name + end)
        if part.exists():
            part.rename(away.with_name(away.name + end))
    return away


def remedy(path: Path, lost: str) -> str:
    """What to do about a damaged file, and what is lost by it.

    Args:
        path: the file.
        lost: as `Schema.lost`; may be empty.
    """
    away = path.with_name(f"{path.name}.damaged")
    advice = f"Move it away, and a new one is made: mv {shlex.quote(str(path))} {shlex.quote(str(away))}"
    return f"{advice}. {lost}" if lost else f"{advice}."
