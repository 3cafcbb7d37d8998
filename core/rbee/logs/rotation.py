"""Keeping a file within bounds while others write to it.

Whoever writes does so by itself, so that its last words are there when it, or whoever looks after the file, is killed.
A file that has grown too large is copied to ``NAME.1`` and cut; its writers append, and go on at its new end.  What is
written during the copy is copied too.  A line written between the last look at the size and the cut is lost: it is a
matter of microseconds, and the price of writers that need not be told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import threading
from pathlib import Path

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Seconds between two looks at a file's size."""
_CATCH_UP = 256
_HOPELESS = 4
"""How many times too large a file may grow that cannot be copied, before it is cut without a copy."""
_MIB = 1024 * 1024


class Rotation:
    """Continues files in empty ones when they have grown too large.

    Args:
        max_mb: size in MiB from which that is done.
        files: kept of one log, the one being written included; at least 1.
    """

    def __init__(self, *, max_mb: int, files: int) -> None:
        self.max_bytes = max_mb * _MIB
        self._files = files
        self._said: set[Path] = set()
        # Two who copy the same file at once would each cut what the other has not copied.
        self._one_at_a_time = threading.Lock()

    async def keep(self, path: Path) -> None:
        """Look after one file until cancelled."""
        while True:
            if size_of(path) > self.max_bytes:
                await asyncio.to_thread(self.rotate, path)
            await asyncio.sleep(LOOK_S)

    def rotate(self, path: Path) -> bool:
        """Continue a file in an empty one if it has grown too large.  Blocks while it copies.

        Returns:
            Whether it was cut.  Where the copy fails it is not, until the file is several times too large.
        """
        with self._one_at_a_time:
            size = size_of(path)
            if size <= self.max_bytes:
                return False
            try:
                self._continue(path, size)
            except OSError as error:
                with contextlib.suppress(OSError):
                    # A full disk is no place for half a copy.
                    _part(path).unlink()
                return self._give_up(path, size, error)
            return True

    def _give_up(self, path: Path, size: int, error: OSError) -> bool:
        if path not in self._said:
            self._said.add(path)
            log.warning("the log '%s' cannot be copied, and will be cut without a copy: %s", path, error)
        if size <= _HOPELESS * self.max_bytes:
            return False
        try:
            os.truncate(path, 0)
        except OSError:
            return False
        return True

    def _continue(self, path: Path, size: int) -> None:
        with path.open("r+b") as source:
            if self._files > 1:
                part = _part(path)
                part.unlink(missing_ok=True)
                with open(part, "xb", opener=private) as copy:
                    # While nobody looked after it, it may have grown without end: the newest is kept.
                    source.seek(max(0, size - 2 * self.max_bytes))
                    shutil.copyfileobj(source, copy, _MIB)
                    copy.flush()
                    self._shift(path)
                    # In place before anything is cut: killed in between, this leaves lines twice and loses none.
                    part.replace(_numbered(path, 1))
                    # What was written meanwhile.
                    for _ in range(_CATCH_UP):
                        copy.write(source.read(_MIB))
                        copy.flush()
                        if source.tell() >= size_of(path):
                            break
                    source.truncate(0)
            else:
                source.truncate(0)

    def _shift(self, path: Path) -> None:
        for place in range(self._files - 1, 1, -1):
            with contextlib.suppress(FileNotFoundError):
                _numbered(path, place - 1).replace(_numbered(path, place))
        # Of a time when more files were kept.
        for place in range(self._files, 100):
            try:
                _numbered(path, place).unlink()
            except FileNotFoundError:
                break


def private(path: str, flags: int) -> int:
    """An opener: what it makes is for this user alone."""
    return os.open(path, flags, 0o600)


def size_of(path: Path) -> int:
    """Bytes in a file; 0 when it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _numbered(path: Path, place: int) -> Path:
    return path.with_name(f"{path.name}.{place}")


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
