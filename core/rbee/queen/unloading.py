"""Stops workers whose time is over."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from rbee.contract.errors import RbeeError
from rbee.contract.wire import JobEvent
from rbee.queen.departures import Departures
from rbee.queen.keeping import Keeping

log = logging.getLogger(__name__)

_PAUSE_S = 30.0
"""After a stop that came to nothing."""


def _to_nobody(_event: JobEvent) -> None:
    return


class Unloading:
    """One owner of the stops for idleness; each worker is stopped once.

    Args:
        keeping: says who is due.
        departures: stop them.
    """

    def __init__(self, keeping: Keeping, departures: Departures) -> None:
        self._keeping = keeping
        self._departures = departures
        self._under_way: set[asyncio.Task[None]] = set()
        self._soon: asyncio.Handle | None = None
        self._not_before: dict[str, float] = {}

    def sweep(self) -> None:
        """Begin to stop those who are due."""
        self._soon = None
        now = asyncio.get_running_loop().time()
        self._not_before = {worker_id: until for worker_id, until in self._not_before.items() if until > now}
        for entry in self._keeping.due():
            if entry.hive_id is None or entry.worker_id in self._not_before:
                continue
            stop = self._departures.begin_idle(entry.hive_id, entry.worker_id, _to_nobody)
            if stop is not None:
                log.info(
                    "unloading worker %s of %s on %s: it was idle for long enough",
                    entry.worker_id,
                    entry.model_id,
                    entry.hive_id,
                )
                self._under_way.add(stop)
                stop.add_done_callback(partial(self._ended, entry.worker_id))

    def sweep_soon(self) -> None:
        """The same once the present request is done with."""
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self.sweep)

    async def close(self) -> None:
        """Begin nothing more; who was told to stop stops."""
        if self._soon is not None:
            self._soon.cancel()
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, worker_id: str, stop: asyncio.Task[None]) -> None:
        self._under_way.discard(stop)
        if stop.cancelled() or (error := stop.exception()) is None:
            return
        # Each try takes it out of routing for a moment.
        self._not_before[worker_id] = asyncio.get_running_loop().time() + _PAUSE_S
        if isinstance(error, RbeeError):
            log.warning("worker %s could not be unloaded: %s", worker_id, error.message)
        else:
            log.error("worker %s could not be unloaded", worker_id, exc_info=error)
