"""More workers of a model when requests wait for long, and fewer when that is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from rbee.contract.errors import RbeeError
from rbee.queen.keeping import Keeping
from rbee.queen.loads import Loads
from rbee.queen.names import ModelNames
from rbee.queen.waiting import WaitingRoom
from rbee.scheduler import Wish
from rbee.settings import Settings

log = logging.getLogger(__name__)

_PAUSE_S = 30.0
"""After a start that came to nothing, or for which there was no room."""


class Replicas:
    """Starts one worker at a time for each model whose queue outlasts the threshold, where there is room for it.

    Nobody is stopped for it and nothing is fetched: those who wait are served anyway, only later.

    Args:
        room: where requests wait.
        names: from names to models.
        loads: starts workers.
        keeping: told which workers are there for a rush alone.
        settings: threshold and bounds.
        clock: of the event loop.
    """

    def __init__(
        self,
        room: WaitingRoom,
        names: ModelNames,
        loads: Loads,
        keeping: Keeping,
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        self._room = room
        self._names = names
        self._loads = loads
        self._keeping = keeping
        self._most = settings.queen.replicas
        self._wait_s = settings.queen.replica_wait_s
        self._clock = clock
        self._under_way: dict[tuple[str, ...], asyncio.Task[None]] = {}
        self._not_before: dict[tuple[str, ...], float] = {}

    def look(self) -> None:
        """Begin what is called for."""
        now = self._clock()
        self._not_before = {models: until for models, until in self._not_before.items() if until > now}
        for models, wish in self._room.outlasting(self._wait_s):
            if models not in self._under_way and models not in self._not_before and wish.worker_id is None:
                task = asyncio.create_task(self._grow(models, wish), name=f"replica of {models[0]}")
                self._under_way[models] = task

    async def close(self) -> None:
        """Begin nothing more."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _grow(self, models: tuple[str, ...], wish: Wish) -> None:
        try:
            found = self._names.present(models[0], trusted=True)
            started = None
            if found is not None and 0 < len(self._loads.there(found, None)) < self._most:
                started = await self._loads.where_there_is_room(found, wish)
            if started is None:
                self._not_before[models] = self._clock() + _PAUSE_S
                return
            # That one alone: what others have started meanwhile is theirs.
            self._keeping.rushed({started})
            log.info("requests wait for %s: %s serves it as well", models[0], started)
        except RbeeError as error:
            log.warning("requests wait for %s, and another worker could not be started: %s", models[0], error.message)
            self._not_before[models] = self._clock() + _PAUSE_S
        finally:
            self._under_way.pop(models, None)
