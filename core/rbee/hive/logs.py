"""The output of workers: files of bounded size, which outlive worker and hive.

A worker writes into its file by itself, so that nothing is lost when it or the hive dies, and goes on writing when
another life of the hive looks after it.  A file that has grown too large is copied to ``NAME.log.1`` and cut: its
writers append, and go on at its new end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path

log = logging.getLogger(__name__)

_FILE = re.compile(r"(?P<name>.+)\.log(?:\.(?:[0-9]{1,3}|part))?")
_PROGRAMS = re.compile(r"(?:colony|registry|queen|hive|rbee)(?:[._-].*)?")
"""Programs log into the same folder: their files are not a worker's, whatever a worker is called."""
_LOOK_S = 1.0
_PRUNE_EVERY = 60
_CATCH_UP = 256
_DAY_S = 86_400
_MIB = 1024 * 1024


class WorkerLogs:
    """Keeps the logs of workers within bounds.

    Args:
        folder: where they are.
        max_mb: size in MiB from which a log is continued in a new file.
        files: kept of one worker, the one being written included.
        keep: how many workers that have ended keep their logs.
        days: how long they keep them.
        living: ids of workers whose logs are not to be deleted.
    """

    def __init__(
        self, folder: Path, *, max_mb: int, files: int, keep: int, days: float, living: Callable[[], Collection[str]]
    ) -> None:
        self._folder = folder
        self._max_bytes = max_mb * _MIB
        self._files = files
        self._keep = keep
        self._days = days
        self._living = living
        self._said: set[str] = set()

    def path(self, worker_id: str) -> Path:
        """The file that a worker writes."""
        return self._folder / f"{worker_id}.log"

    async def run(self) -> None:
        """Look after the files until cancelled."""
        for turn in range(1 << 62):
            if turn % _PRUNE_EVERY == 0:
                await asyncio.to_thread(self.prune, frozenset(self._living()), time.time())
            for worker_id in self._living():
                if _size(self.path(worker_id)) > self._max_bytes:
                    await asyncio.to_thread(self.rotate, worker_id)
            await asyncio.sleep(_LOOK_S)

    def rotate(self, worker_id: str) -> bool:
        """Continue a worker's log in an empty file if it has grown too large.  Blocks while it copies.

        Returns:
            Whether it had.  Nothing is cut when the copy fails.
        """
        path = self.path(worker_id)
        size = _size(path)
        if size <= self._max_bytes:
            return False
        try:
            self._cut(path, size)
        except OSError as error:
            if worker_id not in self._said:
                self._said.add(worker_id)
                log.warning("the log of worker %s grows on, for it cannot be copied: %s", worker_id, error)
            return False
        return True

    def prune(self, living: Collection[str], now: float) -> list[str]:
        """Delete what is too old or too much of workers that have ended; returns their ids.  Blocks a moment.

        Args:
            living: ids that are never touched.
            now: seconds of the clock by which files are dated.
        """
        written: dict[str, float] = {}
        files: dict[str, list[Path]] = {}
        for path in self._entries():
            match = _FILE.fullmatch(path.name)
            if match is None or match["name"] in living or _PROGRAMS.fullmatch(match["name"]):
                continue
            with contextlib.suppress(OSError):
                written[match["name"]] = max(written.get(match["name"], 0.0), path.stat().st_mtime)
                files.setdefault(match["name"], []).append(path)
        newest = sorted(written, key=lambda name: (-written[name], name))
        oldest = now - self._days * _DAY_S
        dropped = [name for place, name in enumerate(newest) if place >= self._keep or written[name] < oldest]
        for name in dropped:
            for path in files[name]:
                with contextlib.suppress(OSError):
                    path.unlink()
        if dropped:
            log.info("deleted the logs of %d workers that have ended", len(dropped))
        return dropped

    def _entries(self) -> list[Path]:
        try:
            return [path for path in self._folder.iterdir() if path.is_file() and not path.is_symlink()]
        except OSError:
            return []

    def _cut(self, path: Path, size: int) -> None:
        with path.open("r+b") as source:
            if self._files > 1:
                part = path.with_name(f"{path.name}.part")
                part.unlink(missing_ok=True)
                with open(part, "xb", opener=private) as copy:
                    # While no hive looked after it, it may have grown without end: the newest is kept.
                    source.seek(max(0, size - 2 * self._max_bytes))
                    shutil.copyfileobj(source, copy, _MIB)
                    copy.flush()
                    self._shift(path)
                    # In place before anything is cut: killed in between, the hive leaves lines twice and loses none.
                    part.replace(_numbered(path, 1))
                    # What was written meanwhile; between the last look and the cut there are microseconds.
                    for _ in range(_CATCH_UP):
                        copy.write(source.read(_MIB))
                        copy.flush()
                        if source.tell() >= _size(path):
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


def _numbered(path: Path, place: int) -> Path:
    return path.with_name(f"{path.name}.{place}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
