"""What workers were measured to do, kept over restarts: a new worker begins as the last one of its kind was."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rbee.contract.errors import RbeeError
from rbee.queen.rates import Kind, Speed
from rbee.storage.later import Later

if TYPE_CHECKING:
    from rbee.queen.speed_store import SpeedStore

log = logging.getLogger(__name__)

_MOST = 2_000


class PastSpeeds:
    """Speeds by kind, in memory as in the file.

    Args:
        path: of the file.
        most: kinds that are kept; the one that changed longest ago goes first.
    """

    def __init__(self, path: Path, most: int = _MOST) -> None:
        self._store = Later(path, lambda: _store_at(path))
        self._most = most
        self._all: OrderedDict[Kind, Speed] = OrderedDict()
        self._unwritten: dict[Kind, Speed] = {}

    async def open(self) -> None:
        """Read the file, if there is one; a damaged one is set aside.

        Raises:
            ConfigurationError: it cannot be opened.
        """
        self._all.update(await self._store.left(lambda store: store.all()) or {})

    async def close(self) -> None:
        """Close the file."""
        await self._store.close()

    def of(self, kind: Kind) -> Speed | None:
        """What a kind was last measured to do; None when nothing is known."""
        return self._all.get(kind)

    async def keep(self, speeds: Iterable[tuple[Kind, Speed]]) -> None:
        """Enter what some kinds do now.  What cannot be written is still known, and written the next time."""
        for kind, speed in speeds:
            kept = self._all[kind] = self._unwritten[kind] = Speed(kind)
            kept.like(speed)
            self._all.move_to_end(kind)
        if not self._unwritten:
            return
        gone = [self._all.popitem(last=False)[0] for _ in range(len(self._all) - self._most)]
        for kind in gone:
            self._unwritten.pop(kind, None)
        try:
            # In a thread: what reads and writes tables takes long to load, and answers pass through here meanwhile.
            await asyncio.to_thread(importlib.import_module, "rbee.queen.speed_store")
            await (await self._store.made()).replace(self._unwritten, gone)
            self._unwritten = {}
        except RbeeError as error:
            log.warning("speeds of workers could not be kept: %s", error)


def _store_at(path: Path) -> SpeedStore:
    from rbee.queen.speed_store import SpeedStore

    return SpeedStore(path)
