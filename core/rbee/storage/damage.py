"""Damaged files of SQLite: how they are told, and what helps."""

from __future__ import annotations

import shlex
import sqlite3
from pathlib import Path

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_FIRST_BYTE = 0xFF
"""Of an extended code, which says more exactly what its first byte says."""


def is_damage(error: BaseException | None) -> bool:
    """Whether an error says that a file is no data base, or no sound one: no other time would help."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, IsADirectoryError) or (isinstance(code, int) and code & _FIRST_BYTE in _DAMAGED)


def remedy(path: Path, lost: str) -> str:
    """What to do about a damaged file, and what is lost by it.

    Args:
        path: the file.
        lost: as `Schema.lost`; may be empty.
    """
    away = path.with_name(f"{path.name}.damaged")
    advice = f"Move it away, and a new one is made: mv {shlex.quote(str(path))} {shlex.quote(str(away))}"
    return f"{advice}. {lost}" if lost else f"{advice}."
