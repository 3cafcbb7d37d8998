"""Operations on models: fetch, look, delete, load, unload."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from rbee.catalog import CatalogEntry, ModelCatalog, Resolver
from rbee.contract.devices import find_device
from rbee.contract.errors import (
    CancelledByCallerError,
    ConflictError,
    ModelFileError,
    ModelNotFoundError,
    NotFoundError,
    UnreachableError,
)
from rbee.contract.types import ModelVariant
from rbee.contract.wire import (
    ModelDelete,
    ModelDeleted,
    ModelDownloaded,
    ModelList,
    ModelRecord,
    ModelRequest,
    ModelUnload,
    ModelUnloaded,
    WorkerSpawn,
    WorkerSpawned,
)
from rbee.hive.children import Child
from rbee.hive.operations.processes import flags
from rbee.hive.operations.records import record
from rbee.hive.operations.starting import ACTOR, Starting
from rbee.hive.supervisor import Supervisor
from rbee.jobs import JobHandler, Narrator, parse

if TYPE_CHECKING:
    from rbee.hive.service import HiveService

_TRIES = 3


class ModelOperations:
    """Handlers for the models of one hive.

    Args:
        hive: whose.
        catalog: models that are here.
        resolver: names to models.
        supervisor: who uses them.
        starting: brings and starts.
    """

    def __init__(
        self,
        hive: HiveService,
        catalog: ModelCatalog,
        resolver: Resolver,
        supervisor: Supervisor,
        starting: Starting,
    ) -> None:
        self._hive = hive
        self._catalog = catalog
        self._resolver = resolver
        self._supervisor = supervisor
        self._starting = starting
        self._loading: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def handlers(self) -> Mapping[str, JobHandler]:
        """By name."""
        return {
            "model_download": self.model_download,
            "model_list": self.model_list,
            "model_get": self.model_get,
            "model_delete": self.model_delete,
            "model_load": self.model_load,
            "model_unload": self.model_unload,
        }

    async def model_download(self, body: dict[str, Any], say: Narrator) -> ModelDownloaded:
        """Bring a model to this machine."""
        variant = await self._starting.choose(parse(body, ModelRequest).model)
        already = await self._starting.present(variant) is not None
        entry = await self._starting.bring(variant, say)
        return ModelDownloaded(
            model_id=variant.model_id, path=entry.path, size_bytes=variant.size_bytes, already=already
        )

    async def model_list(self, _body: dict[str, Any], _say: Narrator) -> ModelList:
        """Models that are here or on their way."""
        entries = {entry.variant.model_id: entry for entry in await self._catalog.list()}
        records = [await self._record(entry) for entry in entries.values()]
        fetching = [one for one in self._catalog.fetching() if one.model_id not in entries]
        records += [record(one, "fetching", self._users(one.model_id)) for one in fetching]
        return ModelList(models=tuple(sorted(records, key=lambda one: (one.name, one.model_id))))

    async def model_get(self, body: dict[str, Any], _say: Narrator) -> ModelRecord:
        """One model that is here or on its way."""
        ref = parse(body, ModelRequest).model
        model_ids = await self._meant(ref)
        for entry in await self._catalog.list():
            if entry.variant.model_id in model_ids:
                return await self._record(entry)
        for variant in self._catalog.fetching():
            if variant.model_id in model_ids:
                return record(variant, "fetching", self._users(variant.model_id))
        raise NotFoundError(f"Model {ref!r} is not on this machine; `model_download` brings it.")

    async def model_delete(self, body: dict[str, Any], say: Narrator) -> ModelDeleted:
        """Delete a model's files; those used in place are only forgotten."""
        wanted = parse(body, ModelDelete)
        model_id = (await self._meant(wanted.model))[0]
        users = self._users(model_id)
        if users and not wanted.force:
            raise ConflictError(
                f"Model {model_id!r} is in use by {', '.join(users)}. Unload it first, or delete it by force, which "
                "stops them.",
                details={"workers": users},
            )
        await self._stop(users, say, at_once=False)
        try:
            entry = await self._catalog.remove(model_id, force=wanted.force)
        except NotFoundError:
            if not wanted.missing_ok:
                raise
            return ModelDeleted(model_id=model_id, deleted=False, freed_bytes=0, path=None, stopped=tuple(users))
        name = model_id if entry is None else entry.variant.name
        say.say(ACTOR, "model_delete", f"{name} is deleted", model_id)
        in_place = entry is not None and entry.variant.in_place is not None
        return ModelDeleted(
            model_id=model_id,
            deleted=True,
            freed_bytes=None if entry is None else 0 if in_place else entry.variant.size_bytes,
            path=None if entry is None else entry.path,
            stopped=tuple(users),
        )

    async def model_load(self, body: dict[str, Any], say: Narrator) -> WorkerSpawned:
        """See that a worker here serves a model: one that is there is enough."""
        wanted = parse(body, WorkerSpawn)
        variant = await self._starting.choose(wanted.model)
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
        for model_id in await self._meant(wanted.model):
            if users := self._users(model_id):
                await self._stop(users, say, at_once=wanted.force)
                return ModelUnloaded(model_id=model_id, stopped=tuple(users))
        if wanted.missing_ok:
            return ModelUnloaded(model_id=wanted.model, stopped=())
        raise NotFoundError(f"No worker of hive {self._hive.hive_id!r} has the model {wanted.model!r}.")

    async def _serving(self, model_id: str, wanted: WorkerSpawn) -> Child | None:
        """A child that has the model, on the device and with the engine that are asked for, if any are."""
        devices = self._hive.capabilities().capabilities
        named = None if wanted.device in {None, ""} else find_device(devices, str(wanted.device))
        for child in self._supervisor.children():
            if child.model_id != model_id:
                continue
            told = await asyncio.to_thread(flags, child.pid)
            if named is not None and told.get("device") != named.id:
                continue
            if wanted.worker is None or wanted.worker in {told.get("engine"), told.get("backend")}:
                return child
        return None

    async def _stop(self, worker_ids: list[str], say: Narrator, *, at_once: bool) -> None:
        for worker_id in worker_ids:
            say.say(ACTOR, "worker_stop", f"Stopping worker {worker_id}", worker_id)
        await asyncio.gather(*(self._supervisor.stop(worker_id, at_once=at_once) for worker_id in worker_ids))
        if worker_ids:
            await self._hive.measure()

    async def _meant(self, ref: str) -> list[str]:
        """Canonical names that a reference may mean here, the likeliest first, at least one.

        What is here is looked at first: it can be named also when its vendor is gone or does not answer.
        """
        entries = [*(entry.variant for entry in await self._catalog.list()), *self._catalog.fetching()]
        known = {variant.model_id for variant in entries} | {child.model_id for child in self._supervisor.children()}
        if ref in known:
            return [ref]
        named = sorted({variant.model_id for variant in entries if variant.name == ref})
        if len(named) == 1:
            return named
        try:
            found = [variant.model_id for variant in await self._resolver.resolve(ref)]
        except (ModelNotFoundError, ModelFileError, UnreachableError):
            if named:
                return named
            raise
        # Of several variants, those that are here are meant.
        return sorted(found, key=lambda model_id: model_id not in known)

    def _users(self, model_id: str) -> list[str]:
        return sorted(child.worker_id for child in self._supervisor.children() if child.model_id == model_id)

    async def _record(self, entry: CatalogEntry) -> ModelRecord:
        variant: ModelVariant = entry.variant
        here = await self._catalog.has_files(entry)
        fetching = any(one.model_id == variant.model_id for one in self._catalog.fetching())
        state = "fetching" if fetching else "present" if here else "missing"
        return record(variant, state, self._users(variant.model_id), entry)
