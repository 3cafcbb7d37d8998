"""Ending a process that holds a lock of the home: asked first, then told, then killed, and waited for."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Protocol

from rbee.cli.console import say
from rbee.cli.context import Context
from rbee.cli.locks import FileLock
from rbee.contract.errors import ConfigurationError, RbeeError
from rbee.settings import Settings

_ORDER_S = 15.0
"""How long a program may take to stop, besides the time that workers have for open requests."""
_KILLED_S = 15.0
_POLL_S = 0.05


class _Record(Protocol):
    @property
    def pid(self) -> int: ...


class Life(Protocol):
    """The files by which processes of one home know of a running one."""

    life: FileLock
    """Held alone by the running one."""

    def peek(self) -> _Record | None:
        """What it has written of itself; None when it has not, or not any more."""


def drain_s(context: Context) -> float:
    """How long open requests may take to finish; stopping must work, whatever the settings have become."""
    try:
        return context.settings.queen.drain_s + context.settings.worker.drain_s
    except ConfigurationError as error:
        # Somebody has written something wrong into a file since the start.
        say(f"rbee: {error.message}")
        return Settings().queen.drain_s + Settings().worker.drain_s


def patience_s(context: Context) -> float:
    """How long to wait for a program to stop in order: workers of a hive that is killed would live on without it."""
    return drain_s(context) + _ORDER_S


def end_process(files: Life, pid: int, what: str, within_s: float, *, asked: bool) -> None:
    """End the process that holds the lock; returns once it is gone, or once another one has taken its place.

    Args:
        files: of the process.
        pid: its process.
        what: who that is, for messages: "The colony".
        within_s: how long it may take in order; after that it is killed.
        asked: somebody has asked it to stop already, so that it needs no signal.

    Raises:
        RbeeError: it does not even end when it is killed.
    """
    for number, wait_s in ((None if asked else signal.SIGTERM, within_s), (signal.SIGKILL, _KILLED_S)):
        if number is not None:
            with contextlib.suppress(ProcessLookupError):
                # The lock is still held, so the pid is still the program's.
                os.kill(pid, number)
        if _is_over(files, pid, wait_s):
            return
    raise RbeeError(
        f"{what} (process {pid}) does not end, not even killed: it hangs in the system, most often in a driver. "
        f"See where: ps -o pid,stat,wchan -p {pid}. If it stays, restart the machine."
    )


def _is_over(files: Life, pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if files.life.try_exclusive():
            files.life.release()
            return True
        present = files.peek()
        if present is not None and present.pid != pid:
            # Somebody has started the next one already; it is not ours to stop.
            return True
        time.sleep(_POLL_S)
    return False
