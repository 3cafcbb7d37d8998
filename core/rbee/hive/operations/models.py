"""Operations on models in memory: load and unload."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from rbee.catalog.matching import several
from rbee.contract.devices import device_ids, find_devices
from rbee.contract.errors import (
    CancelledByCallerError,
    ConflictError,
    NotFoundError,
)
from rbee.contract.wire import (
    ModelUnload,
    ModelUnloaded,
    WorkerSpawn,
    WorkerSpawned,
)
from rbee.hive.children import Child
from rbee.hive.operations.naming import Naming
from rbee.hive.operations.processes import flags
from rbee.hive.operations.starting import ACTOR, Starting
from rbee.hive.supervisor import Supervisor
from rbee.jobs import JobHandler, Narrator, parse

if TYPE_CHECKING:
    from rbee.hive.service import HiveService

_TRIES = 3


class ModelOperations:
    """Handlers for the models that workers of one hive have.

    Args:
        hive: whose.
        supervisor: who uses them.
        starting: brings and starts.
        naming: names to models.
    """

    def __init__(
        self,
        hive: HiveService,
        supervisor: Supervisor,
        starting: Starting,
        naming: Naming,
    ) -> None:
        self._hive = hive
        self._supervisor = supervisor
        self._starting = starting
        self._naming = naming
        self._loading: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def handlers(self) -> Mapping[str, JobHandler]:
        """By name."""
        return {
            "model_load": self.model_load,
            "model_unload": self.model_unload,
        }

    async def model_load(self, body: dict[str, Any], say: Narrator) -> WorkerSpawned:
        """See that a worker here serves a model: one that is there is enough."""
        wanted = parse(body, WorkerSpawn)
        variant = await self._starting.choose(wanted, say)
        lock = self._loading.setdefault(variant.model_id, asyncio.Lock())
        if lock.locked():
            say.say(ACTOR, "model_load", f"{variant.name} is being loaded already; waiting for it", variant.model_id)
        async with lock:
            for _ in range(_TRIES):
                child = await self._serving(variant.model_id, wanted)
                if child is None:
                    break
                say.say(ACTOR, "model_load", f"{child.worker_id} has {variant.name}", child.worker_id)
                try:
                    joined = await self._starting.join(child, variant, say)
                except (CancelledByCallerError, NotFoundError):
                    # Whoever had started it has given it up: it is ours to start now.
                    continue
                return self._starting.spawned(joined, flags(joined.pid).get("device"), already=True)
            return await self._starting.spawn(wanted, variant, say)

    async def model_unload(self, body: dict[str, Any], say: Narrator) -> ModelUnloaded:
        """Stop every worker of a model."""
        wanted = parse(body, ModelUnload)
        meant = {model_id: self._users(model_id) for model_id in await self._naming.meant(wanted.model)}
        used = [model_id for model_id, users in meant.items() if users]
        if len(used) > 1:
            raise ConflictError(several(wanted.model, used, f"hive {self._hive.hive_id!r} that workers have"))
        if used:
            await self._stop(meant[used[0]], say, at_once=wanted.force)
            return ModelUnloaded(model_id=used[0], stopped=tuple(meant[used[0]]))
        if wanted.missing_ok:
            return ModelUnloaded(model_id=wanted.model, stopped=())
        raise NotFoundError(f"No worker of hive {self._hive.hive_id!r} has the model {wanted.model!r}.")

    async def _serving(self, model_id: str, wanted: WorkerSpawn) -> Child | None:
        """A child that has the model, on the device and with the engine that are asked for, if any are."""
        devices = self._hive.capabilities().capabilities
        named = None if wanted.device in {None, ""} else find_devices(devices, str(wanted.device))
        for child in self._supervisor.children():
            if child.model_id != model_id:
                continue
            told = await asyncio.to_thread(flags, child.pid)
            if named is not None and set(device_ids(told.get("device"))) != {one.id for one in named}:
                continue
            if wanted.worker is None or wanted.worker in {told.get("engine"), told.get("backend")}:
                return child
        return None

    async def _stop(self, worker_ids: list[str], say: Narrator, *, at_once: bool) -> None:
        await stop_workers(self._hive, self._supervisor, worker_ids, say, at_once=at_once)

    def _users(self, model_id: str) -> list[str]:
        return users(self._supervisor, model_id)


def users(supervisor: Supervisor, model_id: str) -> list[str]:
    """Ids of the workers that have a model."""
    return sorted(child.worker_id for child in supervisor.children() if child.model_id == model_id)


async def stop_workers(
    hive: HiveService, supervisor: Supervisor, worker_ids: list[str], say: Narrator, *, at_once: bool
) -> None:
    """Stop workers, all at the same time."""
    for worker_id in worker_ids:
        say.say(ACTOR, "worker_stop", f"Stopping worker {worker_id}", worker_id)
    await asyncio.gather(*(supervisor.stop(worker_id, at_once=at_once) for worker_id in worker_ids))
    if worker_ids:
        await hive.measure()
