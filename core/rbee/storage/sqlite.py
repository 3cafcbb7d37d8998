"""What SQLite needs besides its URL: a private file, and transactions that begin when they say so."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

_BUSY_S = 30
_AGAIN_S = 0.01

WRITES = "rbee_writes"
"""Execution option of connections that will write."""


def make_private(path: Path) -> None:
    """Make the file with its mode before SQLite makes it readable by all; its companions take the mode from it.

    Raises:
        OSError: it cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _close_to_others(descriptor)
    finally:
        os.close(descriptor)
    for companion in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with contextlib.suppress(FileNotFoundError):
            companion.chmod(0o600)


def prepare(engine: AsyncEngine) -> None:
    """Set up every connection that the engine will make."""
    event.listen(engine.sync_engine, "connect", _on_connect)
    event.listen(engine.sync_engine, "begin", _on_begin)


def _close_to_others(descriptor: int) -> None:
    found = os.fstat(descriptor)
    if found.st_mode & 0o077 and found.st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)


def _on_connect(connection: Any, _record: Any) -> None:
    # Python's own idea of when a transaction begins leaves out what changes tables, and reads before a write.
    connection.isolation_level = None
    cursor = connection.cursor()
    # First: a change of the journal is itself something to wait for.
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_S * 1000}")
    _write_ahead(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _write_ahead(cursor: Any) -> None:
    """Set the journal of the file, which somebody else may be doing this instant.

    SQLite refuses that change without waiting when two who read would wait for each other.
    """
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except Exception as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_S)


def _on_begin(connection: Connection) -> None:
    # Who reads first and writes then is refused at once, without waiting, when another has written between.
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
