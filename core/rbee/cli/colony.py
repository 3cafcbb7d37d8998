"""The colony of this machine as other processes see it: is one running, where, and who uses it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import msgspec

from rbee.cli import detached
from rbee.cli.context import Context
from rbee.cli.locate import find_queen
from rbee.cli.locks import FileLock
from rbee.cli.records import RecordFile
from rbee.contract.errors import ConfigurationError, UnreachableError
from rbee.settings import Folders

_USERS_S = 30.0
_STOP_S = 30.0
_POLL_S = 0.02


class ColonyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a running colony writes of itself.

    Attributes:
        pid: its process.
        registry_url: address of the registry.
        queen_url: address of the queen and the OpenAI API, for this machine.
        hive_url: address of the hive.
        started_at: Unix time.
        while_used: it ends when nobody uses it.
        ollama_url: address of the queen's second port, for clients of Ollama; None when there is none.
        public_url: address of the queen for others; None from a version that knew one alone.
    """

    pid: int
    registry_url: str
    queen_url: str
    hive_url: str
    started_at: float
    while_used: bool = False
    ollama_url: str | None = None
    public_url: str | None = None


class ColonyFiles(RecordFile[ColonyRecord]):
    """The files by which processes of one home know of each other.

    Args:
        folders: of the home.
    """

    def __init__(self, folders: Folders) -> None:
        super().__init__(folders.state / "colony.json", FileLock(folders.state / "colony.lock"), ColonyRecord)
        self.keep = folders.state / "colony.keep"
        self.users = FileLock(folders.state / "colony.users")
        """Shared by all who use a colony that lives while it is used."""
        self.start = FileLock(folders.state / "colony.start")
        """Held alone by who looks for a colony in order to start one: of two at once, one starts and both use it."""

    def mark_kept(self) -> None:
        """For the colony itself: it no longer ends when nobody uses it."""
        record = msgspec.json.decode(self.record.read_bytes(), type=ColonyRecord)
        self.write(msgspec.structs.replace(record, while_used=False))


def start_detached(context: Context, *, while_used: bool) -> ColonyRecord:
    """Start a colony in a process of its own and wait until it answers.

    Args:
        context: of the command.
        while_used: it takes free ports and ends when nobody holds `ColonyFiles.users` any more.

    Raises:
        RbeeError: it did not come up, and why.
    """
    folders = context.folders
    folders.make()
    log = folders.logs / "colony.log"
    detached.start(context, ["up", *(["--while-used"] if while_used else [])], log, "The colony")
    record = ColonyFiles(folders).read()
    if record is None:
        raise UnreachableError(f"The colony ended as soon as it was up. Its log: '{log}'")
    return record


@contextlib.contextmanager
def used(context: Context, *, keep: bool, on_start: Callable[[], None]) -> Iterator[str]:
    """The address of a running queen for as long as the block lasts: the one there is, or one for the occasion.

    Args:
        context: of the command.
        keep: leave the colony that is started running afterwards.
        on_start: told before one is started.
    """
    if ColonyFiles(context.folders).read() is None:
        # A colony that is just starting is used under its locks, further down.
        elsewhere = find_queen(context, of_colony=False)
        if elsewhere is not None:
            yield elsewhere
            return
    context.folders.make()
    files = ColonyFiles(context.folders)
    if not files.users.shared(_USERS_S):
        raise ConfigurationError(f"A colony in '{context.folders.state}' does not finish stopping; see its log.")
    record: ColonyRecord | None = None
    try:
        if not files.start.exclusive(detached.START_S):
            raise ConfigurationError(f"A colony in '{context.folders.state}' does not finish starting; see its log.")
        record = files.read()
        if record is None:
            on_start()
            record = start_detached(context, while_used=not keep)
        elif keep and record.while_used:
            files.keep.touch()
        files.start.release()
        yield record.queen_url
    finally:
        files.start.release()
        files.users.release()
        # The colony notices by itself; waiting for its end is what lets us say that nothing was left.
        if record is not None and record.while_used and not files.keep.exists():
            _await_end(files)


def _await_end(files: ColonyFiles) -> None:
    deadline = time.monotonic() + _STOP_S
    others_since: float | None = None
    while time.monotonic() < deadline:
        if files.life.try_exclusive():
            files.life.release()
            return
        present = files.peek()
        if present is not None:
            if not present.while_used:
                # Somebody has asked for it to be kept meanwhile.
                return
            # Either somebody else uses it too, or it is just about to notice that nobody does.
            if files.users.try_exclusive():
                files.users.release()
                others_since = None
            else:
                others_since = others_since or time.monotonic()
                if time.monotonic() - others_since > 1.0:
                    return
        time.sleep(_POLL_S)
