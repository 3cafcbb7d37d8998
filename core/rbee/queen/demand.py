"""Loading on demand: one load a model, however many wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from rbee.contract.errors import (
    CancelledByCallerError,
    RbeeError,
    RequestTimeoutError,
    UnreachableError,
    WorkerFailedError,
)
from rbee.contract.types import ModelVariant
from rbee.contract.wire import JobEvent
from rbee.queen.hives import Hives
from rbee.scheduler import Start

log = logging.getLogger(__name__)

Tell = Callable[[JobEvent], None]


class _Load:
    def __init__(self) -> None:
        self.listeners: dict[object, Tell] = {}
        self.keep = False
        self.task: asyncio.Task[None] | None = None

    def tell(self, event: JobEvent) -> None:
        for listener in list(self.listeners.values()):
            listener(event)


class Demand:
    """Carries out `Start` decisions.

    Args:
        hives: where workers are started.
        clock: the telemetry's.
        forget: told the id of each worker that was stopped to make room.
    """

    def __init__(self, hives: Hives, clock: Callable[[], float], forget: Callable[[str], object]) -> None:
        self._hives = hives
        self._clock = clock
        self._forget = forget
        self._loads: dict[str, _Load] = {}
        self._failures: dict[tuple[str, str], tuple[float, str]] = {}

    def loading(self, model_id: str) -> bool:
        """Whether a load of the model is under way."""
        return model_id in self._loads

    def failure(self, model_id: str, hive_id: str) -> tuple[float, str] | None:
        """When and why a worker for the model last crashed while it loaded on a hive."""
        return self._failures.get((model_id, hive_id))

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = [load.task for load in self._loads.values() if load.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ensure(self, variant: ModelVariant, start: Start, tell: Tell | None, *, keep: bool) -> None:
        """Start the worker, or join the load that is under way; returns when it serves.

        Args:
            variant: the model.
            start: the decision; ignored when joining.
            tell: given the load's events.
            keep: the load goes on when nobody waits any more.  API clients give up and come back; a person who
                pressed Ctrl+C meant it.

        Raises:
            RbeeError: why it could not be loaded.
        """
        load = self._loads.get(variant.model_id)
        if load is None:
            load = self._loads[variant.model_id] = _Load()
            load.task = asyncio.create_task(self._run(variant, start, load), name=f"load {variant.model_id}")
        await self._join(load, tell, keep=keep)

    async def join(self, model_id: str, tell: Tell | None, *, keep: bool) -> None:
        """Wait for a load that is under way; returns at once when none is."""
        load = self._loads.get(model_id)
        if load is not None:
            await self._join(load, tell, keep=keep)

    async def _join(self, load: _Load, tell: Tell | None, *, keep: bool) -> None:
        if load.task is None:
            raise RuntimeError("a load without its task")
        load.keep = load.keep or keep
        me = object()
        load.listeners[me] = tell or (lambda event: None)
        try:
            await asyncio.shield(load.task)
        except asyncio.CancelledError:
            if load.task.cancelled():
                raise CancelledByCallerError("The load was cancelled.") from None
            raise
        finally:
            del load.listeners[me]
            if not load.listeners and not load.keep and not load.task.done():
                load.task.cancel()
                with contextlib.suppress(asyncio.CancelledError, RbeeError):
                    await load.task

    async def _run(self, variant: ModelVariant, start: Start, load: _Load) -> None:
        key = (variant.model_id, start.hive_id)
        try:
            for worker_id in start.evict:
                log.info("stopping idle worker %s on %s for %s", worker_id, start.hive_id, variant.model_id)
                await self._hives.run(start.hive_id, "worker_process_delete", {"worker_id": worker_id}, load.tell)
                self._forget(worker_id)
            await self._hives.run(
                start.hive_id,
                "worker_spawn",
                {"model": variant.model_id, "worker": start.engine, "device": start.device},
                load.tell,
            )
            self._failures.pop(key, None)
        except (WorkerFailedError, RequestTimeoutError, UnreachableError) as error:
            self._failures[key] = (self._clock(), error.message)
            raise
        finally:
            self._loads.pop(variant.model_id, None)
            if load.task is not None:
                # Whoever waited has left already: nobody else would fetch the exception.
                load.task.add_done_callback(_consume)


def _consume(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
