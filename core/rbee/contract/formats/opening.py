"""Opening files that others have put there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from rbee.contract.formats.refusals import only_refusals, refusal


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file and its size; a pipe, socket or device is never waited for.

    Raises:
        ModelFileError: it cannot be opened, is no regular file, or whatever went wrong inside.
    """
    # Without blocking: opening a pipe would wait for somebody to write into it.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    with only_refusals(str(path)), os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise refusal(str(path), "is no regular file", "name a file or folder that holds a model")
        yield file, status.st_size


def read_bounded(path: Path, most: int) -> bytes:
    """A whole small file.

    Raises:
        ModelFileError: it cannot be read, or is longer than `most` bytes.
    """
    with opened(path) as (file, _):
        data = file.read(most + 1)
        if len(data) > most:
            raise refusal(str(path), f"is longer than {most >> 20} MiB", "check what it is")
        return data
