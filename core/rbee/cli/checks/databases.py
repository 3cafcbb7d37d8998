"""Checks of the data bases of this home, as files: no program has to run, and one that does is not disturbed."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from rbee.cli.context import Context
from rbee.contract.checks import Check
from rbee.contract.errors import RbeeError

_LARGEST = 200_000_000
"""In bytes: a larger file would be read for longer than a person waits."""
_PATIENCE_S = 2.0
_SOUND = "ok"


def databases(context: Context) -> Iterator[Check]:
    """One entry for those that are sound, and one for each that is not."""
    try:
        files = _files(context)
    except RbeeError:
        # Told by the checks of folders and settings.
        return
    sound, large = [], []
    for path, lost in files:
        name = f"data base {path.name}"
        try:
            if not path.exists():
                continue
            if path.is_file() and path.stat().st_size > _LARGEST:
                large.append(path.name)
                continue
            problem = _problem(path)
        except (OSError, sqlite3.OperationalError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            advice = f"See that '{path}' is yours and readable."
            yield Check(name=name, status="warn", detail=f"cannot be read now: {why}", remedy=advice)
            continue
        if problem is None:
            sound.append(path.name)
            continue
        from rbee.storage.damage import remedy

        yield Check(name=name, status="fail", detail=f"'{path}' is damaged: {problem}", remedy=remedy(path, lost))
    told = [*sound, *(f"{one} (too large to be read through)" for one in large)]
    if told:
        yield Check(name="data bases", status="ok", detail=", ".join(told))


def _files(context: Context) -> list[tuple[Path, str]]:
    """The files that may be there, each with what is lost with it."""
    # Imported late: the tables take longer than all other checks of this machine.
    from rbee.beehives.place import data_base_url
    from rbee.beehives.rows import SCHEMA as BEEHIVES
    from rbee.catalog.alias_store import SCHEMA as ALIASES
    from rbee.catalog.store import SCHEMA as CATALOG
    from rbee.jobs.store import SCHEMA as JOBS
    from rbee.queen.ledger_store import SCHEMA as MEMORY
    from rbee.queen.speed_store import SCHEMA as SPEEDS
    from rbee.queen.standing_store import SCHEMA as STANDING
    from rbee.storage.urls import file_of, is_sqlite, parsed

    folders = context.folders
    url = parsed(data_base_url(context.settings, folders))
    beehives = file_of(url) if is_sqlite(url) else None
    return [
        (folders.home / "queen.db", JOBS.lost),
        *([] if beehives is None else [(beehives, BEEHIVES.lost)]),
        (folders.home / "aliases.db", ALIASES.lost),
        (folders.home / "standing.db", STANDING.lost),
        (folders.home / "speeds.db", SPEEDS.lost),
        (folders.home / "memory.db", MEMORY.lost),
        (folders.models / "catalog.db", CATALOG.lost),
    ]


def _problem(path: Path) -> str | None:
    """What SQLite finds amiss; None for a sound file.

    Raises:
        sqlite3.OperationalError: it cannot be read now.
    """
    if path.is_dir():
        return "it is a folder"
    try:
        # Where nobody has it open, SQLite must not leave its companions behind, perhaps as another user.
        idle = not path.with_name(f"{path.name}-wal").exists()
        uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if idle else ''}"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_PATIENCE_S)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return str(error)
    problem = "it tells nothing" if found is None else str(found[0])
    return None if problem == _SOUND else " ".join(problem.split())
