"""Stops workers whose time is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from rbee.contract.errors import RbeeError
from rbee.contract.wire import JobEvent
from rbee.queen.hives import Hives
from rbee.queen.keeping import Keeping
from rbee.telemetry import WorkerEntry

log = logging.getLogger(__name__)

_DELETE = "worker_process_delete"


def _to_nobody(_event: JobEvent) -> None:
    return


class Unloading:
    """One owner of the stops for idleness; each worker is stopped once.

    Args:
        keeping: says who is due.
        hives: stop them.
        claim: takes an idle worker out of routing before; False when it is in use after all.
        forget: told the id of each worker that was stopped.
        settle: told the id of one that could not be stopped, so that it serves again.
    """

    def __init__(
        self,
        keeping: Keeping,
        hives: Hives,
        claim: Callable[[str], bool],
        forget: Callable[[str], object],
        settle: Callable[[str], object],
    ) -> None:
        self._keeping = keeping
        self._hives = hives
        self._claim = claim
        self._forget = forget
        self._settle = settle
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._soon: asyncio.Handle | None = None

    def sweep(self) -> None:
        """Begin to stop those who are due."""
        self._soon = None
        for entry in self._keeping.due():
            worker_id, hive_id = entry.worker_id, entry.hive_id
            if hive_id is None or worker_id in self._under_way or not self._claim(worker_id):
                continue
            task = asyncio.create_task(self._stop(entry, hive_id), name=f"unload {worker_id}")
            self._under_way[worker_id] = task

    def sweep_soon(self) -> None:
        """The same once the present request is done with."""
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self.sweep)

    async def close(self) -> None:
        """Begin nothing more; who was told to stop stops."""
        if self._soon is not None:
            self._soon.cancel()
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _stop(self, entry: WorkerEntry, hive_id: str) -> None:
        worker_id, model_id = entry.worker_id, entry.model_id
        try:
            log.info("unloading worker %s of %s on %s: it was idle for long enough", worker_id, model_id, hive_id)
            await self._hives.run(hive_id, _DELETE, {"worker_id": worker_id}, _to_nobody)
            self._forget(worker_id)
        except RbeeError as error:
            log.warning("worker %s could not be unloaded: %s", worker_id, error.message)
            self._settle(worker_id)
        finally:
            self._under_way.pop(worker_id, None)
