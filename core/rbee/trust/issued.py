"""What an authority has signed and taken back: a small data base beside its key, for all processes of its home."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from rbee.contract.errors import ConfigurationError, ConflictError, NotFoundError
from rbee.trust.names import Role
from rbee.trust.private import make_folder

_FILE = "issued.db"
_BUSY_S = 5.0
LONGEST_GRACE = timedelta(days=90)
"""What has ended is remembered for so long: it may still be renewed."""
MOST_REVOKED = 4000
"""Certificates that have not ended and hold no more: all programs are told of each."""

_TABLE = """
CREATE TABLE IF NOT EXISTS issued (
    serial TEXT PRIMARY KEY, role TEXT NOT NULL, subject TEXT NOT NULL, hive TEXT, issued_at REAL NOT NULL,
    expires_at REAL NOT NULL, revoked_at REAL, reason TEXT
);
CREATE INDEX IF NOT EXISTS issued_subject ON issued (role, subject);
CREATE INDEX IF NOT EXISTS issued_hive ON issued (hive);
CREATE INDEX IF NOT EXISTS issued_ends ON issued (expires_at);
"""
_OF = """
SELECT serial, expires_at FROM issued WHERE revoked_at IS NULL
AND ((role = :role AND subject = :subject) OR (:role = 'hive' AND hive = :subject))
"""
"""A program's own, and a hive's with those of its workers: it has their keys."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate.

    Attributes:
        serial: its number.
        role: whose: what it is.
        subject: and which.
        hive: that asked for it, for a worker.
        issued_at: when it was signed.
        expires_at: its end.
        revoked_at: since when it holds no more; None while it does.
        reason: why.
    """

    serial: int
    role: Role
    subject: str
    hive: str | None
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    reason: str | None = None


class IssuedCertificates:
    """The data base; every question is a connection of its own, so that processes and threads need not care.

    What was taken back must not be forgotten: a damaged file is an error, never set aside.

    Args:
        folder: of the authority.
        now: the time, with a time zone.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._path = folder / _FILE
        self._now = now
        self._stamp: tuple[int, int, int] | None = None
        self._ends: dict[int, float] = {}
        self._until = 0.0
        self._revoked: frozenset[int] = frozenset()

    def enter(self, entry: Entry) -> None:
        """Write one down; raises ConfigurationError when it cannot be."""
        now = self._now()
        with self._open() as db:
            db.execute(
                "INSERT INTO issued VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)",
                (
                    f"{entry.serial:x}",
                    entry.role,
                    entry.subject,
                    entry.hive,
                    entry.issued_at.timestamp(),
                    entry.expires_at.timestamp(),
                ),
            )
            # A worker's is never renewed once it has ended: its hive asks for another one.
            db.execute(
                "DELETE FROM issued WHERE expires_at < ? AND (role = 'worker' OR expires_at < ?)",
                ((now - timedelta(hours=1)).timestamp(), (now - LONGEST_GRACE).timestamp()),
            )

    def revoke(self, role: Role, subject: str, reason: str) -> list[int]:
        """Take back all that a program has, and for a hive what its workers have.

        Args:
            role: what it is.
            subject: which.
            reason: for the list.

        Returns:
            Their numbers.

        Raises:
            NotFoundError: it has none that holds or could be renewed.
            ConflictError: too many would be revoked at a time.
            ConfigurationError: the file will not do.
        """
        now = self._now().timestamp()
        with self._open() as db:
            found = db.execute(_OF, {"role": str(role), "subject": subject}).fetchall()
            if not found:
                raise NotFoundError(f"The {role} {subject!r} has no certificate that holds; see `rbee ca show`.")
            held = db.execute("SELECT count(*) FROM issued WHERE revoked_at IS NOT NULL AND expires_at > ?", (now,))
            if held.fetchone()[0] + sum(ends > now for _, ends in found) > MOST_REVOKED:
                raise ConflictError(
                    f"More than {MOST_REVOKED} certificates would be revoked before they end. "
                    "Give up the authority's key instead: rbee ca rotate --at-once"
                )
            db.executemany(
                "UPDATE issued SET revoked_at = ?, reason = ? WHERE serial = ?",
                [(now, reason, serial) for serial, _ in found],
            )
        return [int(serial, 16) for serial, _ in found]

    def revoked(self) -> frozenset[int]:
        """Numbers of those that have not ended and hold no more; cheap to ask while nothing has changed."""
        now = self._now().timestamp()
        stamp = self._stamped()
        if stamp != self._stamp or now >= self._until:
            if stamp is None:
                self._ends = {}
            else:
                with self._open() as db:
                    rows = db.execute("SELECT serial, expires_at FROM issued WHERE revoked_at IS NOT NULL")
                    self._ends = {int(serial, 16): ends for serial, ends in rows if ends > now}
            self._stamp, self._until = stamp, min(self._ends.values(), default=float("inf"))
            self._revoked = frozenset(self._ends)
        return self._revoked

    def find(self, serial: int) -> Entry | None:
        """One of them; None when it was never signed here, or long ago."""
        if self._stamped() is None:
            return None
        with self._open() as db:
            row = db.execute("SELECT * FROM issued WHERE serial = ?", (f"{serial:x}",)).fetchone()
        return None if row is None else _entry(row)

    def was_put_out(self, role: Role, subject: str) -> bool:
        """Whether the latest that a program got was revoked: one that has merely ended may be renewed."""
        if self._stamped() is None:
            return False
        with self._open() as db:
            found = db.execute(
                "SELECT revoked_at FROM issued WHERE role = ? AND subject = ? ORDER BY rowid DESC LIMIT 1",
                (str(role), subject),
            ).fetchone()
        return found is not None and found[0] is not None

    def holds(self, role: Role, subject: str) -> bool:
        """Whether a program has one that has not ended and was not revoked."""
        if self._stamped() is None:
            return False
        with self._open() as db:
            asked = (str(role), subject, self._now().timestamp())
            found = db.execute(
                "SELECT 1 FROM issued WHERE role = ? AND subject = ? AND expires_at > ? AND revoked_at IS NULL", asked
            )
            return found.fetchone() is not None

    def newest(self, most: int) -> list[Entry]:
        """The newest of each program, by role and id.

        Args:
            most: so many at most.
        """
        if self._stamped() is None:
            return []
        with self._open() as db:
            rows = db.execute(
                "SELECT * FROM issued AS one WHERE rowid = (SELECT max(rowid) FROM issued WHERE role = one.role "
                "AND subject = one.subject) ORDER BY role, subject LIMIT ?",
                (most,),
            )
            return [_entry(row) for row in rows]

    def clear(self) -> None:
        """Nobody trusts any of them any more."""
        if self._stamped() is not None:
            with self._open() as db:
                db.execute("DELETE FROM issued")

    def _stamped(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection, whose changes are all made or none."""
        try:
            make_folder(self._path.parent)
            # Made by SQLite it could be read by others.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            with contextlib.closing(sqlite3.connect(self._path, timeout=_BUSY_S)) as db, db:
                db.executescript(_TABLE)
                db.execute("BEGIN IMMEDIATE")
                yield db
        except (sqlite3.OperationalError, OSError) as error:
            raise ConfigurationError(
                f"File '{self._path}', the list of certificates, cannot be used now: {error}. Nothing is signed or "
                "revoked until it can; see to room on the disk and to its owner."
            ) from error
        except (sqlite3.Error, ValueError) as error:
            raise ConfigurationError(
                f"File '{self._path}', the list of certificates, is damaged: {error}. Bring back a copy of it. "
                "Without one, remove it and run `rbee ca rotate --at-once`: what was revoked is forgotten with it."
            ) from error


def _entry(row: tuple[str, str, str, str | None, float, float, float | None, str | None]) -> Entry:
    serial, role, subject, hive, issued_at, expires_at, revoked_at, reason = row
    return Entry(
        serial=int(serial, 16),
        role=Role(role),
        subject=subject,
        hive=hive,
        issued_at=datetime.fromtimestamp(issued_at, UTC),
        expires_at=datetime.fromtimestamp(expires_at, UTC),
        revoked_at=None if revoked_at is None else datetime.fromtimestamp(revoked_at, UTC),
        reason=reason,
    )
