"""Stores that are opened only when there is something in them, or something is to be entered.

What reads and writes tables takes as much memory as all the rest of a queen that relays requests and is asked nothing
else; it is loaded with the first store that is opened.
"""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from rbee.contract.errors import RbeeError
from rbee.contract.wire import utc_now

if TYPE_CHECKING:
    from rbee.storage.store import Store

log = logging.getLogger(__name__)

S = TypeVar("S", bound="Store")
T = TypeVar("T")


class Later(Generic[S]):
    """A store, once it is needed.

    Args:
        path: its file; None for a data base elsewhere, which is taken to be there.
        make: makes the store, and imports what that needs.
    """

    def __init__(self, path: Path | None, make: Callable[[], S]) -> None:
        self._path = path
        self._make = make
        self._store: S | None = None
        self._opening = asyncio.Lock()

    async def present(self) -> S | None:
        """The open store; None while nothing has ever been entered.  Raises as `Store.open`."""
        if self._store is None and self._path is not None and _is_empty(self._path):
            return None
        return await self.made()

    async def left(self, read: Callable[[S], Awaitable[T]]) -> T | None:
        """What an earlier life of the program has left; None for nothing.

        A file that is damaged, or that this user may not read, is given another name, which is told in the log: the
        program starts without it, and nothing of it is lost to whoever can mend it.

        Args:
            read: reads it from the open store.

        Raises:
            RbeeError: as `Store.open` and `read` raise, for any other reason, or when it cannot be renamed.
        """
        try:
            store = await self.present()
            return None if store is None else await read(store)
        except RbeeError as error:
            if self._path is None or not await self._set_aside(self._path, error):
                raise
            return None

    async def made(self) -> S:
        """The open store, made if there was none.  Raises as `Store.open`."""
        async with self._opening:
            if self._store is None:
                # Where the event loop runs: it is an import, and the first of its kind.
                self._store = self._make()
            if not self._store.data_base.is_open:
                await self._store.open()
        return self._store

    async def close(self) -> None:
        """Close it; harmless when it was never opened."""
        if self._store is not None:
            await self._store.close()

    async def _set_aside(self, path: Path, error: RbeeError) -> bool:
        """Put the file out of the way, if that is what has failed; whether it is."""
        from rbee.storage.damage import set_aside, why_of_no_use

        why = why_of_no_use(error)
        if why is None:
            return False
        store, self._store = self._store, None
        if store is not None:
            await store.close()
        try:
            away = set_aside(path, utc_now())
        except OSError:
            return False
        lost = "" if store is None else f" {store.data_base.lost}"
        log.error("'%s' cannot be used: %s. It is now '%s', whole, and a new one is begun.%s", path, why, away, lost)
        return True


def _is_empty(path: Path) -> bool:
    """Whether nothing was ever entered: on a full disk a file can be made, and nothing written to it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return True
    return stat.S_ISREG(found.st_mode) and not found.st_size
