"""Room for models on the disk of a hive."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from rbee.builtin.one_thread import OneThread
from rbee.contract.amounts import SPARE_BYTES

_WITHIN_S = 0.05


class DiskRoom:
    """Looks now and then; a disk that does not answer, as one in a network, keeps nobody waiting.

    Args:
        folder: of the models.

    Attributes:
        free_bytes: that a fetch may take, without what rbee leaves untouched; None while unknown.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = OneThread("room on the disk")
        self._looking: asyncio.Task[None] | None = None
        self.free_bytes: int | None = None

    async def look(self) -> None:
        """Look, and wait for a moment; a late answer counts for the next one who asks."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="room on the disk")
        await asyncio.wait([self._looking], timeout=_WITHIN_S)

    def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
        self._thread.close()

    async def _look(self) -> None:
        try:
            usage = await self._thread.call(shutil.disk_usage, self._folder)
        except OSError:
            self.free_bytes = None
        else:
            self.free_bytes = max(0, usage.free - SPARE_BYTES)
