"""The colony of this machine as other processes see it: is one running, where, and who uses it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from rbee.cli.context import Context
from rbee.cli.exits import NotRunningError
from rbee.cli.locks import FileLock
from rbee.contract.errors import ConfigurationError, RbeeError, UnreachableError, error_types
from rbee.settings import Folders

_START_S = 60.0
_USERS_S = 30.0
_STOP_S = 30.0
_POLL_S = 0.02


class ColonyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a running colony writes of itself.

    Attributes:
        pid: its process.
        registry_url: address of the registry.
        queen_url: address of the queen and the OpenAI API.
        hive_url: address of the hive.
        started_at: Unix time.
        while_used: it ends when nobody uses it.
    """

    pid: int
    registry_url: str
    queen_url: str
    hive_url: str
    started_at: float
    while_used: bool = False


class StartReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a detached colony tells its starter through a pipe: that it is up, or why not."""

    code: str | None = None
    message: str | None = None


class ColonyFiles:
    """The files by which processes of one home know of each other.

    Args:
        folders: of the home.
    """

    def __init__(self, folders: Folders) -> None:
        self.record = folders.state / "colony.json"
        self.keep = folders.state / "colony.keep"
        self.life = FileLock(folders.state / "colony.lock")
        """Held alone by the running colony: whoever can take it knows that there is none."""
        self.users = FileLock(folders.state / "colony.users")
        """Shared by all who use a colony that lives while it is used."""
        self.start = FileLock(folders.state / "colony.start")
        """Held alone by who looks for a colony in order to start one: of two at once, one starts and both use it."""

    def write(self, record: ColonyRecord) -> None:
        """Make the record visible, whole."""
        staged = self.record.with_name(f".{self.record.name}.{os.getpid()}")
        staged.write_bytes(msgspec.json.encode(record))
        staged.replace(self.record)

    def mark_kept(self) -> None:
        """For the colony itself: it no longer ends when nobody uses it."""
        record = msgspec.json.decode(self.record.read_bytes(), type=ColonyRecord)
        self.write(msgspec.structs.replace(record, while_used=False))

    def read(self) -> ColonyRecord | None:
        """The running colony; None when none runs, whatever an earlier one has left."""
        if not self.record.parent.is_dir():
            return None
        if self.life.try_exclusive():
            self.life.release()
            return None
        return self.peek()

    def peek(self) -> ColonyRecord | None:
        """What the record says, whether or not its colony still runs."""
        try:
            return msgspec.json.decode(self.record.read_bytes(), type=ColonyRecord)
        except (OSError, msgspec.DecodeError):
            return None


def running(context: Context) -> ColonyRecord:
    """The running colony.

    Raises:
        NotRunningError: there is none.
    """
    context.check()
    record = ColonyFiles(context.folders).read()
    if record is None:
        raise NotRunningError("No colony is running. Start one: rbee up")
    return record


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
    reading, writing = os.pipe()
    argv = [sys.executable, "-m", "rbee"]
    for name, value in context.overrides.items():
        argv += ["--set", f"{name}={value}"]
    argv += ["up", f"--report-fd={writing}"]
    if while_used:
        argv.append("--while-used")
    with log.open("ab") as output, os.fdopen(reading, "rb") as pipe:
        log.chmod(0o600)
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(writing,),
                start_new_session=True,
            )
        finally:
            os.close(writing)
        try:
            _await_report(pipe.fileno(), process, log)
        except BaseException:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)
            raise
    record = ColonyFiles(folders).read()
    if record is None:
        raise UnreachableError(f"The colony ended as soon as it was up. Its log: '{log}'")
    return record


@contextlib.contextmanager
def used(context: Context, *, keep: bool, on_start: Callable[[], None]) -> Iterator[ColonyRecord]:
    """A running colony for as long as the block lasts: the one that is there, or one for the occasion.

    Args:
        context: of the command.
        keep: leave it running afterwards.
        on_start: told before one is started.
    """
    context.folders.make()
    files = ColonyFiles(context.folders)
    if not files.users.shared(_USERS_S):
        raise ConfigurationError(f"A colony in '{context.folders.state}' does not finish stopping; see its log.")
    record: ColonyRecord | None = None
    try:
        if not files.start.exclusive(_START_S):
            raise ConfigurationError(f"A colony in '{context.folders.state}' does not finish starting; see its log.")
        record = files.read()
        if record is None:
            on_start()
            record = start_detached(context, while_used=not keep)
        elif keep and record.while_used:
            files.keep.touch()
        files.start.release()
        yield record
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


def _await_report(fd: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Read the pipe to its end or its first line.

    Raises:
        RbeeError: what the colony reports, or that it died or hangs.
    """
    import select

    deadline = time.monotonic() + _START_S
    received = b""
    while b"\n" not in received:
        if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise UnreachableError(f"The colony did not come up within {_START_S:.0f} s. Its log: '{log}'")
        part = os.read(fd, 65536)
        if not part:
            process.wait(_STOP_S)
            raise UnreachableError(f"The colony ended while it started. Its log: '{log}'")
        received += part
    report = msgspec.json.decode(received, type=StartReport)
    if report.code is not None:
        process.wait(_STOP_S)
        raise error_types().get(report.code, RbeeError)(report.message or "The colony did not start.")
