"""A served engine's look at requests before they are relayed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from rbee.contract.engine import ServedEngine


class Readying:
    """Lets an engine ready itself for requests on the routes that it has named, and tells it of their end.

    Args:
        engine: to be asked.
        paths: of the routes; the others pass at no cost.
    """

    def __init__(self, engine: ServedEngine, paths: frozenset[str] = frozenset()) -> None:
        self._engine = engine
        self.paths = paths

    @contextlib.asynccontextmanager
    async def request(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """The engine's own fields for a request that goes on within the block.

        Raises:
            RbeeError: the engine refuses it.
        """
        if path not in self.paths:
            yield {}
            return
        looking = asyncio.ensure_future(asyncio.to_thread(self._engine.before, path, body))
        try:
            # A thread cannot be cancelled: what it has done for a client who has left is undone when it is through.
            fields = await asyncio.shield(looking)
        except asyncio.CancelledError:
            looking.add_done_callback(lambda done: self._undo(path, done))
            raise
        try:
            yield fields or {}
        finally:
            if fields is not None:
                self._engine.after(path, fields)

    def _undo(self, path: str, looked: asyncio.Future[Mapping[str, Any] | None]) -> None:
        if not looked.cancelled() and looked.exception() is None and (fields := looked.result()) is not None:
            self._engine.after(path, fields)
