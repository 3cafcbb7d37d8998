"""Which of a model's variants this machine takes: the queen's own choice, made with what the hive knows of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from rbee.catalog import CatalogEntry, ModelCatalog
from rbee.contract.figures import ModelFigures
from rbee.contract.types import EngineInfo, ModelVariant, WorkerState
from rbee.contract.wire import LearnedMemory
from rbee.hive.operations.processes import flags
from rbee.hive.supervisor import Supervisor
from rbee.scheduler import (
    Choice,
    HiveView,
    IdleWorker,
    PlaceRequest,
    Unsuitable,
    choose,
    completed,
    estimates,
    gpu_free,
    idle_worker,
    pooled,
    ram_free,
)
from rbee.settings import Settings

if TYPE_CHECKING:
    from rbee.hive.service import HiveService


class Choosing:
    """Sees the hive as the queen does, so that a pull brings what `rbee model plan` names.

    Of what a worker does at the moment the hive knows nothing: every one that serves counts as one that could make
    room.

    Args:
        hive: its devices, engines and figures.
        catalog: models that are here.
        supervisor: its children.
        settings: context and slots of a worker.
    """

    def __init__(self, hive: HiveService, catalog: ModelCatalog, supervisor: Supervisor, settings: Settings) -> None:
        self._hive = hive
        self._catalog = catalog
        self._supervisor = supervisor
        self._settings = settings

    async def best(
        self,
        variants: Sequence[ModelVariant],
        *,
        device: str | None = None,
        engine: str | None = None,
        context_length: int | None = None,
        slots: int | None = None,
        learned: tuple[LearnedMemory, ...] = (),
    ) -> Choice | Unsuitable:
        """The variant to take; its figures are what is known without asking anybody.

        Args:
            variants: in the order of their vendor.
            device: only on that one, when given.
            engine: only with that one, when it is an engine's name.
            context_length: tokens a slot; None for the setting.
            slots: requests at the same time; None for the setting.
            learned: what workers of the variants have needed, as the queen knows.
        """
        here = await self._here({variant.model_id for variant in variants})
        request = PlaceRequest(
            variants=pooled([looked_into(variant, here.get(variant.model_id)) for variant in variants]),
            device=device,
            context_length=context_length or self._settings.worker.context_length,
            slots=slots or self._settings.worker.slots,
        )
        view = await self._view(frozenset(variant.model_id for variant in variants), here, engine)
        found = choose(request, msgspec.structs.replace(view, learned=learned), estimates(request))
        if isinstance(found, Unsuitable):
            return found
        # As the vendor gave it: what was added is for the estimate alone.
        return msgspec.structs.replace(found, variant=variants[found.rank])

    async def _here(self, model_ids: set[str]) -> Mapping[str, CatalogEntry]:
        entries = [entry for entry in await self._catalog.list() if entry.variant.model_id in model_ids]
        return {entry.variant.model_id: entry for entry in entries if await self._catalog.has_files(entry)}

    async def _view(self, model_ids: frozenset[str], here: Mapping[str, CatalogEntry], engine: str | None) -> HiveView:
        told, beat = self._hive.capabilities(), self._hive.last_beat
        node, budgets = (None, ()) if beat is None else (beat.node, beat.hive.memory)
        engines: tuple[EngineInfo, ...] = told.engines
        return HiveView(
            hive_id=self._hive.hive_id,
            online=True,
            devices=told.capabilities,
            engines=tuple(one for one in engines if one.name == engine) or engines,
            ram_free_bytes=ram_free(node, told.capabilities, budgets),
            gpu_free_bytes=gpu_free(node, told.capabilities, budgets),
            idle=await self._idle(model_ids),
            held=frozenset(here),
        )

    async def _idle(self, model_ids: frozenset[str]) -> tuple[IdleWorker, ...]:
        beat, states = self._hive.last_beat, self._supervisor.states()
        samples = {} if beat is None else {one.worker_id: one for one in beat.workers}
        idle = []
        for child in self._supervisor.children():
            if states.get(child.worker_id) is WorkerState.READY and child.model_id not in model_ids:
                told = await asyncio.to_thread(flags, child.pid)
                sample = samples.get(child.worker_id)
                idle.append(idle_worker(child.worker_id, 0.0, told.get("device"), told.get("backend"), sample))
        return tuple(idle)


def looked_into(variant: ModelVariant, entry: CatalogEntry | None) -> ModelVariant:
    """A variant with what its files tell, where they are here, and what its vendor tells besides."""
    if entry is None or entry.figures is None:
        return variant
    return msgspec.structs.replace(variant, figures=completed(entry.figures, variant.figures or ModelFigures()))
