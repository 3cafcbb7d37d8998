"""What native code writes to file descriptor 2, read back."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

STDERR = 2
LARGEST_READ = 256 * 1024


class CapturedStderr:
    """Within the ``with`` block file descriptor 2 leads to a file; afterwards its content is passed on.

    The descriptor belongs to the whole process, so lines of other threads are caught too: they are passed on
    like all others, only later.  A file and not a pipe, since nobody has to empty it.

    Attributes:
        text: what was caught (its first 256 KiB); set when the block ends.
    """

    def __init__(self) -> None:
        self.text = ""
        self._reader: IO[bytes] | None = None
        self._original: int | None = None

    def __enter__(self) -> Self:
        _flush()
        try:
            self._original = os.dup(STDERR)
        except OSError:
            # Started without standard error, as some supervisors do: there is nothing to pass on to.
            self._original = None
        target, name = tempfile.mkstemp(prefix="rbee-stderr-")
        if target != STDERR:
            os.dup2(target, STDERR)
            os.close(target)
        # Opened a second time, because reading must not move the place where the library writes next.
        self._reader = Path(name).open("rb", buffering=0)
        return self

    def wait_for(self, text: bytes, seconds: float) -> None:
        """Wait until `text` was written: a library may log in a thread of its own, behind its own return."""
        deadline = time.monotonic() + seconds
        while text not in self._caught() and time.monotonic() < deadline:
            time.sleep(0.005)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _flush()
        caught = self._caught()
        if self._original is None:
            os.close(STDERR)
        else:
            os.dup2(self._original, STDERR)
            os.close(self._original)
            _write_all(STDERR, caught)
        if self._reader is not None:
            self._reader.close()
            Path(self._reader.name).unlink(missing_ok=True)
        self._reader = self._original = None
        self.text = caught.decode("utf-8", "replace")

    def _caught(self) -> bytes:
        if self._reader is None:
            return b""
        self._reader.seek(0)
        return self._reader.read(LARGEST_READ)


def _flush() -> None:
    # Python has no sys.stderr where the process was started without one.
    if sys.stderr is not None:
        sys.stderr.flush()


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except OSError:
            # The reader of our log is gone; loading a model must not fail for that.
            return
