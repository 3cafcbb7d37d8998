"""What was said of models that holds until something else is said: pins, and how long they stay loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rbee.storage.later import Later

if TYPE_CHECKING:
    from rbee.queen.standing_store import StandingStore


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One model.

    Attributes:
        model_id: canonical name.
        pinned: its workers are neither stopped to make room nor for idleness.
        keep_alive_s: how long they stay while idle, -1 for ever; None for the colony's setting.
    """

    model_id: str
    pinned: bool = False
    keep_alive_s: float | None = None


class Standings:
    """All of them, in memory as in the file.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._store = Later(path, lambda: _store_at(path))
        self._all: dict[str, Standing] = {}

    async def open(self) -> None:
        """Read the file, if there is one; a damaged one is set aside.

        Raises:
            ConfigurationError: it cannot be opened.
        """
        self._all = {one.model_id: one for one in await self._store.left(lambda store: store.list()) or ()}

    async def close(self) -> None:
        """Close the file."""
        await self._store.close()

    def of(self, model_id: str | None) -> Standing | None:
        """What was said of a model; None for nothing."""
        return None if model_id is None else self._all.get(model_id)

    def pinned(self, model_id: str | None) -> bool:
        """Whether a model's workers must stay."""
        found = self.of(model_id)
        return found is not None and found.pinned

    async def put(self, standing: Standing) -> None:
        """Say something of a model, in place of what was said before; nothing at all forgets it."""
        if standing == Standing(model_id=standing.model_id):
            await self.forget(standing.model_id)
        elif self._all.get(standing.model_id) != standing:
            await (await self._store.made()).put(standing)
            self._all[standing.model_id] = standing

    async def forget(self, model_id: str) -> None:
        """Nothing holds of a model any more; harmless when nothing did."""
        if model_id in self._all:
            await (await self._store.made()).remove(model_id)
            del self._all[model_id]


def _store_at(path: Path) -> StandingStore:
    from rbee.queen.standing_store import StandingStore

    return StandingStore(path)
