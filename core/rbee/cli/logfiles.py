"""Logs of this machine: which there are, and which one is meant by a name."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from rbee.cli.programs import ProgramFiles, ProgramName
from rbee.logs import is_program_log
from rbee.settings import Folders

COLONY = "colony"
_FILE = re.compile(r"(?P<name>.+)\.log(?:\.[0-9]{1,3})?")


class LogInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A log.

    Attributes:
        name: by which `rbee logs` prints it.
        kind: ``program`` or ``worker``.
        files: of how many it consists.
        size_bytes: of all of them.
        written_at: when something was last written.
    """

    name: str
    kind: Literal["program", "worker"]
    files: int
    size_bytes: int
    written_at: datetime


class ProgramLog(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log of a program is.

    Attributes:
        name: of the log.
        elsewhere: why the running program's own lines are not in it; None when they are, or when none runs.
    """

    name: str
    elsewhere: str | None = None


def list_logs(folder: Path) -> list[LogInfo]:
    """The logs in a folder: programs first, then workers, the newest first."""
    files: dict[str, list[Path]] = {}
    try:
        entries = list(folder.iterdir())
    except OSError:
        return []
    for path in entries:
        match = _FILE.fullmatch(path.name)
        if match is not None and not path.is_symlink() and path.is_file():
            files.setdefault(match["name"], []).append(path)
    found = []
    for name, paths in files.items():
        try:
            stats = [path.stat() for path in paths]
        except OSError:
            # Pruned this instant.
            continue
        found.append(
            LogInfo(
                name=name,
                kind="program" if is_program_log(name) else "worker",
                files=len(paths),
                size_bytes=sum(one.st_size for one in stats),
                written_at=datetime.fromtimestamp(max(one.st_mtime for one in stats), UTC),
            )
        )
    return sorted(found, key=lambda one: (one.kind, -one.written_at.timestamp(), one.name))


def program_log(folders: Folders, program: ProgramName) -> ProgramLog:
    """Where a program of this home writes: to the colony's log when it is part of one."""
    record = ProgramFiles(folders, program).read()
    paths = {name: folders.logs / f"{name}.log" for name in (program, COLONY)}
    if record is None:
        there = [name for name, path in paths.items() if path.is_file()]
        return ProgramLog(name=max(there, key=lambda name: paths[name].stat().st_mtime, default=program))
    name = COLONY if record.colony else program
    on_terminal = not record.detached
    if record.detached is None:
        on_terminal = _written(paths[name]) < record.started_at - 1
    if on_terminal:
        return ProgramLog(name=name, elsewhere=f"process {record.pid} writes to the terminal that it was started in")
    return ProgramLog(name=name)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
