"""The output of workers: files of bounded size, which outlive worker and hive.

A worker writes into its file by itself, so that its last words are there when it or the hive is killed, and goes on
writing when another life of the hive looks after it.  How a file is kept small: `rbee.logs.rotation`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Collection
from pathlib import Path

from rbee.logs import Rotation, is_program_log
from rbee.logs.rotation import LOOK_S, size_of

log = logging.getLogger(__name__)

_FILE = re.compile(r"(?P<name>.+)\.log(?:\.(?:[0-9]{1,3}|part))?")
_PRUNE_EVERY = 60
_DAY_S = 86_400


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
        self._rotation = Rotation(max_mb=max_mb, files=files)
        self._keep = keep
        self._days = days
        self._living = living

    def path(self, worker_id: str) -> Path:
        """The file that a worker writes."""
        return self._folder / f"{worker_id}.log"

    async def run(self) -> None:
        """Look after the files until cancelled."""
        for turn in range(1 << 62):
            if turn % _PRUNE_EVERY == 0:
                await asyncio.to_thread(self.prune, frozenset(self._living()), time.time())
            for worker_id in self._living():
                if size_of(self.path(worker_id)) > self._rotation.max_bytes:
                    await asyncio.to_thread(self.rotate, worker_id)
            await asyncio.sleep(LOOK_S)

    def rotate(self, worker_id: str) -> bool:
        """Continue a worker's log in an empty file if it has grown too large.  Blocks while it copies.

        Returns:
            Whether it was cut; see `Rotation.rotate`.
        """
        return self._rotation.rotate(self.path(worker_id))

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
            if match is None or match["name"] in living or is_program_log(match["name"]):
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
