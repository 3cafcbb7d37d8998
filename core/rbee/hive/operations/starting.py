"""Bringing a model and starting a worker for it: what `worker_spawn`, `model_load` and `model_download` share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from rbee.catalog import Brought, CatalogEntry, ModelCatalog
from rbee.catalog.provisioner import Peer
from rbee.contract.amounts import byte_size
from rbee.contract.devices import device_ids
from rbee.contract.engine_options import checked_options
from rbee.contract.errors import InvalidRequestError, RequestTimeoutError
from rbee.contract.types import Backend, DeviceShare, EngineInfo, LoadSpec, ModelVariant, WorkerState
from rbee.contract.wire import LearnedMemory, Registration, WorkerSpawn, WorkerSpawned
from rbee.hive.children import Child, address
from rbee.hive.operations.choosing import looked_into
from rbee.hive.operations.devices import devices_meant
from rbee.hive.operations.naming import Naming
from rbee.hive.operations.unfit import no_engine, no_splitting
from rbee.hive.supervisor import Supervisor
from rbee.jobs import Narrator
from rbee.logs import is_program_log
from rbee.scheduler import as_seen, estimate
from rbee.settings import Settings

if TYPE_CHECKING:
    from rbee.hive.reporter import Reporter
    from rbee.hive.service import HiveService

ACTOR = "hive"

_LOOK_S = 0.1


class Starting:
    """From a model's name to a worker that serves it.

    Args:
        hive: where.
        catalog: models that are here.
        naming: names to models.
        supervisor: its children.
        reporter: tells the queen.
        settings: of this program.
    """

    def __init__(
        self,
        hive: HiveService,
        catalog: ModelCatalog,
        naming: Naming,
        supervisor: Supervisor,
        reporter: Reporter,
        settings: Settings,
    ) -> None:
        self._hive = hive
        self._catalog = catalog
        self._naming = naming
        self._supervisor = supervisor
        self._reporter = reporter
        self._settings = settings

    async def choose(self, wanted: WorkerSpawn, say: Narrator) -> ModelVariant:
        """What a name means here; see `Naming.choose`."""
        known = self._hive.capabilities().capabilities
        device = self.device(wanted.device)[0] if known else None
        return await self._naming.choose(wanted, device, say)

    async def present(self, variant: ModelVariant) -> CatalogEntry | None:
        """The model, if it is here as it is wanted."""
        entry = await self._catalog.find(variant.model_id)
        return entry if entry is not None and entry.variant.same_files(variant) else None

    async def bring(self, variant: ModelVariant, say: Narrator, only: Sequence[Peer] = ()) -> Brought:
        """The model, fetched when it is not here.

        Args:
            variant: what.
            say: tells how it goes.
            only: take it from there and from nowhere else.
        """
        present = await self.present(variant)
        if present is not None:
            return Brought(entry=present, already=True)
        fetched = variant.files and variant.in_place is None
        source = only[0].name if only else variant.vendor
        if fetched:
            size = f" ({byte_size(variant.size_bytes)})" if variant.size_bytes else ""
            say.say(ACTOR, "model_download", f"Fetching {variant.name}{size} from {source}", variant.model_id)

        def progress(done: int, total: int | None) -> None:
            item, items = file_under_way(variant, done)
            say.progress("model_download", done, total, item=item, items=items)

        brought = await self._catalog.bring(
            variant, progress, lambda text: say.say(ACTOR, "model_download", text, variant.model_id), only=only
        )
        if fetched:
            say.say(ACTOR, "model_verified", f"{variant.name} is here and verified", variant.model_id)
        return brought

    async def spawn(self, wanted: WorkerSpawn, variant: ModelVariant, say: Narrator) -> WorkerSpawned:
        """A worker for the model, started; one with that id that is there or being started is shared.

        Raises:
            InvalidRequestError: the id is not for workers.
            NoPlacementError: the hive drains.
            RbeeError: it cannot be started, and why.
        """
        if wanted.worker_id is not None and is_program_log(wanted.worker_id):
            raise InvalidRequestError(
                f"No worker can be called {wanted.worker_id!r}: that is the name of a program's log. Take another id.",
                param="worker_id",
            )
        self._hive.draining.check()
        # Before anything is fetched: who asks for the impossible shall not wait for gigabytes to hear it.
        device, backend = self.device(wanted.device, self._opening(variant, wanted.worker))
        ids = device_ids(device)
        engine = self.engine(variant, wanted.worker, backend, several=len(ids) > 1)
        given = {**self._settings.engines.get(engine.name, {}), **wanted.options}
        options = checked_options(engine.name, engine.options, given)
        entry = (await self.bring(variant, say)).entry
        # Again: to fetch it may have taken long.
        self._hive.draining.check()
        served = self._supervisor.states().get(wanted.worker_id or "") is WorkerState.READY
        say.say(ACTOR, "worker_spawn", f"Starting {engine.name} for {variant.name} on {device}", variant.model_id)
        spec = LoadSpec(
            model_id=variant.model_id,
            model_path=entry.path,
            variant=variant,
            device=ids[0],
            devices=tuple(DeviceShare(device=one) for one in ids) if len(ids) > 1 else (),
            backend=backend,
            slots=wanted.slots or self._settings.worker.slots,
            context_length=wanted.context_length or self._settings.worker.context_length,
            options=options,
            threads=0 if engine.remote else 1,
        )
        if not engine.remote:
            spec = await self._with_need(spec, entry, engine, wanted.learned)
        child = await self._supervisor.ensure_ready(
            engine.name,
            spec,
            wanted.worker_id,
            lambda stage: say.say("worker", "load", stage[:1].upper() + stage[1:], variant.model_id),
        )
        if served:
            return self.spawned(child, device, already=True)
        await self.until_serving(child)
        await self._hive.draining.keep(child.worker_id, address(self._settings, child))
        await self._reporter.worker_ready(
            Registration(
                worker_id=child.worker_id,
                url=address(self._settings, child),
                model=variant.model_id,
                metadata={"model_name": variant.name},
                spawned_by=f"hive-{self._hive.hive_id}",
                hive_id=self._hive.hive_id,
                device=device,
                backend=backend,
                state="draining" if self._hive.draining.active else "ready",
                pid=child.pid,
                slots_total=spec.slots,
            )
        )
        # Measured before the job ends: who asked sees the new worker and the threads it took.
        await self._hive.measure()
        threads = f"{child.threads} thread{'' if child.threads == 1 else 's'}"
        share = "" if (shared := self._hive.budgets.shared()) is None else f"; {shared}"
        say.say("worker", "ready", f"{variant.name} is loaded ({threads}){share}", child.worker_id)
        return self.spawned(child, device, already=False)

    async def _with_need(
        self, spec: LoadSpec, entry: CatalogEntry, engine: EngineInfo, learned: Sequence[LearnedMemory]
    ) -> LoadSpec:
        """The spec with what a worker for it is thought to need; the budgets promise that, or refuse."""
        plain = estimate(looked_into(spec.variant, entry), spec.context_length, spec.slots)
        there = (spec.model_id, engine.name, spec.backend, self._hive.hive_id)
        need = as_seen(plain.over(len(spec.device_ids)), learned, *there).total_bytes
        if need is not None:
            # A worker may have ended, or another program begun, since the last sample.
            await self._hive.measure()
        return msgspec.structs.replace(spec, memory_bytes=need)

    async def join(self, child: Child, variant: ModelVariant, say: Narrator) -> Child:
        """Wait until a worker that is there or being started serves.

        Raises:
            CancelledByCallerError: who started it has given up.
            RbeeError: it failed.
        """
        spec = LoadSpec(model_id=child.model_id, model_path=None, variant=variant)
        joined = await self._supervisor.ensure_ready("", spec, child.worker_id, lambda _stage: None)
        await self.until_serving(joined)
        return joined

    async def until_serving(self, child: Child) -> None:
        """Wait for a worker of an earlier life of the hive, whose pipe is gone, to have loaded.

        Raises:
            NotFoundError: it has ended instead.
            ConflictError: it drains.
            RequestTimeoutError: it took longer than hive.start_timeout_s.
        """
        limit = self._settings.hive.start_timeout_s
        try:
            async with asyncio.timeout(limit):
                while (state := self._supervisor.states().get(child.worker_id)) is not WorkerState.READY:
                    self._supervisor.get(child.worker_id)
                    if state is WorkerState.DRAINING:
                        await self._supervisor.check_serving(child)
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError as error:
            raise RequestTimeoutError(
                f"Worker {child.worker_id!r} did not load {child.model_id!r} within {limit:g} s (hive.start_timeout_s)."
            ) from error

    def spawned(self, child: Child, device: str | None, *, already: bool) -> WorkerSpawned:
        """The result for a worker that serves."""
        return WorkerSpawned(
            worker_id=child.worker_id,
            url=address(self._settings, child),
            pid=child.pid,
            threads=child.threads,
            model_id=child.model_id,
            device=device,
            already=already,
            memory_bytes=child.memory_bytes,
            shares=child.shares,
        )

    def device(self, wanted: str | int | None, engines: Sequence[EngineInfo] = ()) -> tuple[str, str]:
        """Id and backend of a device, or of several; see `devices_meant`."""
        return devices_meant(self._hive.capabilities().capabilities, wanted, engines)

    def engine(self, variant: ModelVariant, wanted: str | None, backend: str, *, several: bool = False) -> EngineInfo:
        """The engine for a variant: by its name, by a backend's name, or the one that suits the device best.

        Args:
            variant: to be run.
            wanted: name of an engine or a backend; None for any.
            backend: how the device is driven.
            several: it has to spread the model over several such devices.

        Raises:
            InvalidRequestError: no such engine.
            EngineUnavailableError: none can run it here.
        """
        named = [engine for engine in self._engines() if engine.name == wanted]
        by_backend = wanted in {*Backend, *(word for engine in self._engines() for word in engine.backends)}
        if wanted and not named and not by_backend:
            names = ", ".join(engine.name for engine in self._engines()) or "none"
            raise InvalidRequestError(f"There is no engine {wanted!r} here. Engines: {names}.", param="worker")
        pool = named or list(self._engines())
        opening = [engine for engine in pool if variant.format in engine.formats]
        fitting = [engine for engine in opening if backend in engine.backends]
        if several and fitting:
            splitting = [engine for engine in fitting if backend in engine.splits]
            if not splitting:
                raise no_splitting(variant, backend, fitting)
            fitting = splitting
        if usable := [engine for engine in fitting if engine.available]:
            return min(usable, key=lambda engine: (-engine.preference.get(backend, 0), engine.name))
        raise no_engine(variant, backend, fitting, named)

    def _opening(self, variant: ModelVariant, wanted: str | None) -> list[EngineInfo]:
        """Engines that can open a variant here, only the one that is named if one is."""
        opening = [engine for engine in self._engines() if engine.available and variant.format in engine.formats]
        return [engine for engine in opening if engine.name == wanted] or opening

    def _engines(self) -> Sequence[EngineInfo]:
        return self._hive.capabilities().engines


def file_under_way(variant: ModelVariant, done: int) -> tuple[int | None, int | None]:
    """Number of the file that is being fetched, from 1, and how many there are; None where sizes are not known."""
    behind = 0
    for number, file in enumerate(variant.files, 1):
        if file.size_bytes is None:
            return None, None
        behind += file.size_bytes
        if done < behind:
            return number, len(variant.files)
    return len(variant.files) or None, len(variant.files) or None
