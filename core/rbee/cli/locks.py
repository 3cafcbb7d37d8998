"""Locks that the system lets go of with the process that held them."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_POLL_S = 0.02


class FileLock:
    """An advisory lock on a file.

    Args:
        path: made when absent; never deleted, or two processes could hold locks on different files of one name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def try_exclusive(self) -> bool:
        """Take it alone if nobody else has it."""
        return self._try(fcntl.LOCK_EX)

    def exclusive(self, timeout_s: float) -> bool:
        """Take it alone; waits for whoever has it."""
        return self._wait(fcntl.LOCK_EX, timeout_s)

    def shared(self, timeout_s: float) -> bool:
        """Take it beside other sharers; waits for one who has it alone."""
        return self._wait(fcntl.LOCK_SH, timeout_s)

    def release(self) -> None:
        """Let it go; harmless when not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _wait(self, kind: int, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not self._try(kind):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _try(self, kind: int) -> bool:
        fd = self._fd if self._fd is not None else os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if self._fd is None:
                os.close(fd)
            return False
        self._fd = fd
        return True
