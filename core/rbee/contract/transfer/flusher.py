"""Bringing a file that is being written to the disk bit by bit, so that little is left to be waited for at its end."""

from __future__ import annotations

import os
import threading

_EACH_BYTES = 64 * 1024 * 1024
_SYNC = getattr(os, "fdatasync", os.fsync)
"""macOS knows one of them only."""


class Flusher:
    """Flushes beside the writer, in a thread that is there once the file is large enough.

    Args:
        fd: of the file; stays open until `end` has returned.
        length: of what is there.
    """

    def __init__(self, fd: int, length: int) -> None:
        self._fd = fd
        self._asked = length
        self._ended = False
        self._error: OSError | None = None
        self._news = threading.Event()
        self._thread: threading.Thread | None = None

    def advance(self, length: int) -> None:
        """So many bytes are written."""
        if length - self._asked < _EACH_BYTES:
            return
        self._asked = length
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rbee-transfer-flush", daemon=True)
            self._thread.start()
        self._news.set()

    def flush(self) -> None:
        """Return once all is on the disk.

        Raises:
            OSError: it did not get there.
        """
        _SYNC(self._fd)
        if self._error is not None:
            # The system tells an error once, and this thread may not be the one that heard.
            raise self._error

    def end(self) -> None:
        """Touch the file no more."""
        self._ended = True
        self._news.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            if self._ended:
                return
            try:
                _SYNC(self._fd)
            except OSError as error:
                self._error = error
                return
