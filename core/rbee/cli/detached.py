"""Starting a program in a process of its own, and hearing whether it came up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

import msgspec

from rbee.cli.context import Context
from rbee.contract.errors import RbeeError, UnreachableError, error_types
from rbee.logs import private

START_S = 60.0
_STOP_S = 30.0
_PATHS = ("PATH", "PYTHONPATH")


class StartReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a detached program tells its starter through a pipe: that it is up, or why not."""

    code: str | None = None
    message: str | None = None


def start(context: Context, command: Sequence[str], log: Path, what: str) -> None:
    """Start ``rbee COMMAND --report-fd=N`` in a session of its own and wait until it answers.

    Args:
        context: of the command; its settings of the command line are passed on.
        command: as on a command line.
        log: appended to.
        what: who starts, for messages: "The colony".

    Raises:
        RbeeError: it did not come up, and why.
    """
    reading, writing = os.pipe()
    argv = [sys.executable, "-m", "rbee"]
    for name, value in context.overrides.items():
        argv += ["--set", f"{name}={value}"]
    argv += [*command, f"--report-fd={writing}"]
    with open(log, "ab", opener=private) as output, os.fdopen(reading, "rb") as pipe:
        with _interrupts_held_back() as held_back:
            try:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(writing,),
                    start_new_session=True,
                    # Where its caller stands may be a disk that is to be taken out.
                    cwd=context.folders.state,
                    env=_absolute(context.environment()),
                )
            finally:
                os.close(writing)
        try:
            if held_back:
                raise KeyboardInterrupt
            _await_report(pipe.fileno(), process, log, what)
        except BaseException:
            process.terminate()
            if not _await_end(process):
                process.kill()
            raise


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[list[int]]:
    """Keep Ctrl+C from coming between the start of a process and our knowing it; yields those that came."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        # Interrupts reach the main thread alone.
        yield came
        return

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = signal.getsignal(signal.SIGINT)
    if before in {None, signal.SIG_IGN}:
        yield came
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def report(fd: int | None, told: StartReport) -> None:
    """For the program itself: tell the starter, if there is one."""
    if fd is None:
        return
    try:
        os.write(fd, msgspec.json.encode(told) + b"\n")
        os.close(fd)
    except OSError:
        # The starter has left; the program it asked for runs on.
        return


def _await_report(fd: int, process: subprocess.Popen[bytes], log: Path, what: str) -> None:
    """Read the pipe to its end or its first line.

    Raises:
        RbeeError: what the program reports, or that it died or hangs.
    """
    import select

    deadline = time.monotonic() + START_S
    received = b""
    while b"\n" not in received:
        if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise UnreachableError(f"{what} did not come up within {START_S:.0f} s. Its log: '{log}'")
        part = os.read(fd, 65536)
        if not part:
            _await_end(process)
            raise UnreachableError(f"{what} ended while it started. Its log: '{log}'")
        received += part
    told = msgspec.json.decode(received, type=StartReport)
    if told.code is not None:
        _await_end(process)
        raise error_types().get(told.code, RbeeError)(told.message or f"{what} did not start.")


def _await_end(process: subprocess.Popen[bytes]) -> bool:
    """Give it time to write its last words; whether it has ended."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    return process.returncode is not None


def _absolute(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment that means the same in another working directory."""
    found = dict(environment)
    for name in _PATHS:
        if name in found:
            found[name] = os.pathsep.join(str(Path(part).absolute()) for part in found[name].split(os.pathsep))
    return found
