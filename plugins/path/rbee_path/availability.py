"""Whether a server of a record can be run or joined here."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rbee.contract import Availability

from rbee_path.asking import Server
from rbee_path.record import EngineRecord

_VERSION_S = 1.5
_VERSION = re.compile(r"\d+(?:\.\d+)*(?:[-+.]?\w+)*")
_LARGEST = 4096


def program_of(record: EngineRecord) -> str | None:
    """Absolute path of the program; None when it is not here."""
    found = shutil.which(record.program)
    return None if found is None else str(Path(found).absolute())


def joinable(record: EngineRecord) -> bool:
    """Whether a server that can be joined answers."""
    return record.join is not None and Server(url=record.join.url).answers(record.join.models)


def availability(record: EngineRecord) -> Availability:
    """What the engine of a record answers."""
    program = program_of(record)
    if program is not None:
        return Availability(available=True, version=_version(program, record.version))
    if joinable(record):
        return Availability(available=True)
    where = f" and nothing answers at {record.join.url}" if record.join is not None else ""
    return Availability(available=False, reason=f"'{record.program}' is not on the PATH{where}; {record.install}")


def _version(program: str, arguments: Sequence[str] | None) -> str | None:
    if arguments is None:
        return None
    try:
        said = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_VERSION_S,
            check=False,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(said[:_LARGEST].decode("utf-8", "replace"))
    return None if found is None else found[0]
