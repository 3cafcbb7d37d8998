"""Stores that are opened only when there is something in them, or something is to be entered.

What reads and writes tables takes as much memory as all the rest of a queen that relays requests and is asked nothing
else; it is loaded with the first store that is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from rbee.storage.store import Store

S = TypeVar("S", bound="Store")


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
        if self._store is None and self._path is not None and not self._path.exists():
            return None
        return await self.made()

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
