"""Workers that are being stopped: who they are, and when what they held is free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from rbee.contract.errors import NoPlacementError, RbeeError
from rbee.contract.types import WorkerState
from rbee.contract.wire import JobEvent
from rbee.queen.hives import Hives
from rbee.queen.released import Footprint, until_released
from rbee.telemetry import TelemetryRegistry, WorkerEntry

Tell = Callable[[JobEvent], None]

_DELETE = "worker_process_delete"


class InUseError(NoPlacementError):
    """A worker that was to make room has got a request meanwhile."""


class Departures:
    """The one owner of stops.  A stop is over once the hive no longer measures what the worker held.

    Args:
        telemetry: the colony.
        hives: stop workers.
    """

    def __init__(self, telemetry: TelemetryRegistry, hives: Hives) -> None:
        self._telemetry = telemetry
        self._hives = hives
        self._soon: dict[str, tuple[str, asyncio.Task[None]]] = {}
        """Those that take no longer than a process needs to end, with their hives."""

    @property
    def any(self) -> bool:
        """Whether any worker will have gone in a moment."""
        return bool(self._soon)

    def leaves(self, worker_id: str) -> bool:
        """Whether a worker will have gone in a moment."""
        return worker_id in self._soon

    def on(self, hive_id: str) -> bool:
        """Whether such a worker is on a hive."""
        return any(where == hive_id for where, _ in self._soon.values())

    async def one_ends(self, within_s: float) -> bool:
        """Wait until any such worker has gone, or could not be stopped; whether that was in time."""
        tasks = [task for _, task in self._soon.values()]
        if not tasks or within_s <= 0:
            return False
        done, _ = await asyncio.wait(tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

    def begin_idle(self, hive_id: str, worker_id: str, tell: Tell) -> asyncio.Task[None] | None:
        """Begin to stop a worker that nobody asks, out of routing from now on; None when it is in use, or leaves.

        Args:
            hive_id: where it is.
            worker_id: which.
            tell: given the job's events.

        Returns:
            The stop.  It raises RbeeError when the worker could not be stopped, which then serves again.
        """
        entry = self._telemetry.get_worker(worker_id)
        if self.leaves(worker_id) or (entry is not None and _in_use(entry)):
            return None
        return self._begin(hive_id, worker_id, tell, force=False, correlation_id=None)

    async def evict(self, hive_id: str, worker_id: str, tell: Tell) -> None:
        """Stop a worker that is idle, to make room.

        Raises:
            InUseError: it is in use again.
            RbeeError: it could not be stopped.
        """
        task = self.begin_idle(hive_id, worker_id, tell)
        if task is None:
            raise InUseError(f"Worker {worker_id!r}, which was to make room, is in use again.")
        await task

    async def stop(
        self, hive_id: str, worker_id: str, tell: Tell, *, force: bool = False, correlation_id: str | None = None
    ) -> None:
        """Stop a worker, whatever it does; nothing new is sent to it meanwhile.

        Args:
            hive_id: where it is.
            worker_id: which.
            tell: given the job's events.
            force: do not wait for its open requests.
            correlation_id: of the request behind it.

        Raises:
            RbeeError: it could not be stopped; it then serves again.
        """
        _, leaving = self._soon.get(worker_id, (None, None))
        if leaving is not None:
            await asyncio.shield(leaving)
            return
        await self._begin(hive_id, worker_id, tell, force=force, correlation_id=correlation_id)

    def _begin(
        self, hive_id: str, worker_id: str, tell: Tell, *, force: bool, correlation_id: str | None
    ) -> asyncio.Task[None]:
        entry = self._telemetry.get_worker(worker_id)
        held = Footprint.of(self._telemetry, hive_id, worker_id)
        if entry is not None and entry.state.serving:
            # Its own word comes a moment later: until then nothing more is to be sent.
            self._telemetry.set_state(worker_id, WorkerState.DRAINING)
        body = {"worker_id": worker_id, **({"force": True} if force else {})}
        task = asyncio.create_task(self._stop(held, body, tell, correlation_id), name=f"stop {worker_id}")
        if force or entry is None or not _in_use(entry):
            self._soon[worker_id] = (hive_id, task)
            task.add_done_callback(partial(self._over, worker_id))
        return task

    async def _stop(self, held: Footprint, body: dict[str, object], tell: Tell, correlation_id: str | None) -> None:
        try:
            await self._hives.run(held.hive_id, _DELETE, body, tell, correlation_id=correlation_id)
        except RbeeError:
            entry = self._telemetry.get_worker(held.worker_id)
            if entry is not None and entry.state is WorkerState.DRAINING:
                self._telemetry.set_state(held.worker_id, WorkerState.READY)
            raise
        self._telemetry.remove_worker(held.worker_id)
        await until_released(self._telemetry, held, tell)

    def _over(self, worker_id: str, _task: asyncio.Task[None]) -> None:
        del self._soon[worker_id]


def _in_use(entry: WorkerEntry) -> bool:
    return entry.reserved > 0 or entry.external > 0
