"""The pipe from a loading worker to the hive that started it: one JSON document a line."""

from __future__ import annotations

import contextlib
import os

import msgspec

from rbee.contract.worker_args import LoadReport


class ReportPipe:
    """The worker's end; a hive that has died makes it silent, not fatal."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        if fd is not None:
            # Children of an engine must not hold the pipe open: its end tells the hive of this process's end.
            os.set_inheritable(fd, False)

    def send(self, report: LoadReport) -> None:
        """Write one line."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.write(self._fd, msgspec.json.encode(report) + b"\n")

    def close(self) -> None:
        """Close it; harmless when closed."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = None
