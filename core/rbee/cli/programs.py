"""The programs of one home as other processes see them: which of them run, and where."""

from __future__ import annotations

import contextlib
from typing import Literal

import msgspec

from rbee.cli.locks import FileLock
from rbee.cli.records import RecordFile
from rbee.contract.errors import ConflictError
from rbee.settings import Folders

ProgramName = Literal["registry", "queen", "hive"]
PROGRAMS: tuple[ProgramName, ...] = ("registry", "queen", "hive")

_LIFE_S = 0.3


class ProgramRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a running program writes of itself.

    Attributes:
        program: which one.
        pid: its process.
        url: its address for this machine.
        started_at: Unix time.
        colony: it shares its process with the others of ``rbee up``.
        detached: it runs in the background and writes to its log; None from a version that did not tell.
        public_url: its address for others; None from a version that knew one alone.
    """

    program: ProgramName
    pid: int
    url: str
    started_at: float
    colony: bool = False
    detached: bool | None = None
    public_url: str | None = None


class ProgramFiles(RecordFile[ProgramRecord]):
    """The files by which processes of one home know of a program.

    Args:
        folders: of the home.
        program: which one.
    """

    def __init__(self, folders: Folders, program: ProgramName) -> None:
        life = FileLock(folders.state / f"{program}.lock")
        super().__init__(folders.state / f"{program}.json", life, ProgramRecord)
        self.program = program

    def claim(self) -> None:
        """Become the one program of that name in this home, until this process ends or `disclaim` is called.

        Raises:
            ConflictError: another process is.
        """
        # Not at the first failure: who only looks whether a program runs holds the lock for an instant.
        if self.life.exclusive(_LIFE_S):
            # Left by one that was killed.  While this one starts, it would pass for this one's, and its pid may by now
            # be a stranger's.
            self.record.unlink(missing_ok=True)
            return
        present = self.read()
        if present is None:
            raise ConflictError(f"A {self.program} is starting or stopping in this home; try again in a moment.")
        stop = "rbee down" if present.colony else f"rbee {self.program} stop"
        raise ConflictError(
            f"A {self.program} runs in this home already: process {present.pid} at {present.url}. Stop it: {stop}"
        )

    def disclaim(self) -> None:
        """Make room for another one; harmless when nothing was claimed."""
        with contextlib.suppress(OSError):
            self.record.unlink(missing_ok=True)
        self.life.release()
