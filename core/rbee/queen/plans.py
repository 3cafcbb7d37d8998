"""What each hive of the colony would take of a model, before anything is fetched."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rbee.contract.amounts import byte_size
from rbee.contract.types import ModelVariant
from rbee.contract.wire import ModelPlan, Planned, PlanRow
from rbee.queen.looks import Looks
from rbee.queen.names import ModelNames
from rbee.queen.views import Views
from rbee.scheduler import Choice, HiveView, PlaceRequest, Unsuitable, choose, error_pct, estimates
from rbee.settings import Settings
from rbee.telemetry import TelemetryRegistry


class Plans:
    """Makes plans; starts and fetches nothing.

    Args:
        telemetry: the colony.
        names: from names to models.
        views: of the colony.
        looks: into models that nobody has yet.
        settings: context and slots of a worker, where the request says nothing.
    """

    def __init__(
        self, telemetry: TelemetryRegistry, names: ModelNames, views: Views, looks: Looks, settings: Settings
    ) -> None:
        self._telemetry = telemetry
        self._names = names
        self._views = views
        self._looks = looks
        self._settings = settings

    async def plan(self, wanted: ModelPlan, hive_id: str | None, say: Callable[[str], None]) -> Planned:
        """The plan for all hives, or for one.

        Args:
            wanted: model, context and slots.
            hive_id: the only hive to look at; None for all.
            say: told what is read, and what could not be.

        Raises:
            ModelNotFoundError: nobody knows the model.
            RbeeError: as its vendor raises.
        """
        found = await self._names.resolve(wanted.model, trusted=True)
        variants = (await self._names.widen(found) or found).variants
        request = await self._looks.into(self._request(wanted, variants, hive_id), say, one_at_least=True)
        needs = estimates(request)
        hives = [hive for hive in self._views.hives(request.variants) if hive_id in {None, hive.hive_id}]
        rows = [self._row(hive, choose(request, hive, needs), request.variants) for hive in hives]
        return Planned(
            model=wanted.model,
            variants=request.variants,
            hives=tuple(sorted(rows, key=lambda row: row.hive_id)),
        )

    def _request(self, wanted: ModelPlan, variants: tuple[ModelVariant, ...], hive_id: str | None) -> PlaceRequest:
        return PlaceRequest(
            variants=variants,
            hive_id=hive_id,
            context_length=wanted.context_length or self._settings.worker.context_length,
            slots=wanted.slots or self._settings.worker.slots,
        )

    def _row(self, hive: HiveView, choice: Choice | Unsuitable, variants: Sequence[ModelVariant]) -> PlanRow:
        serving = [
            f"{entry.worker_id} serves {entry.model_id} there already"
            for variant in variants
            for entry in self._telemetry.find_workers_by_model(variant.model_id)
            if entry.hive_id == hive.hive_id and entry.state.serving
        ]
        reasons = (*serving, *choice.reasons)
        if isinstance(choice, Unsuitable):
            return PlanRow(hive_id=hive.hive_id, reasons=reasons)
        variant, need, seen = choice.variant, choice.estimate, choice.estimate.seen
        info = self._telemetry.get_hive(hive.hive_id)
        room = None if info is None else info.models_free_bytes
        to_come = 0 if choice.present or not variant.files else variant.size_bytes
        crowded = False
        if room is not None and to_come is not None and to_come > room:
            crowded = True
            reasons = (*reasons, f"{byte_size(to_come)} are to come, and its disk has {byte_size(room)} for models")
        return PlanRow(
            hive_id=hive.hive_id,
            chosen=variant,
            engine=choice.engine.name,
            device=choice.device_name,
            file=variant.files[0].name if variant.files else variant.in_place,
            # Whoever keeps its files elsewhere has some size all the same.
            size_bytes=variant.size_bytes if variant.files else None,
            present=choice.present,
            memory_bytes=need.total_bytes,
            estimate_bytes=need.plain_bytes,
            reserve_bytes=None if seen is None else need.reserve_bytes,
            peak_bytes=None if seen is None else seen.peak_bytes,
            peak_hive_id=None if seen is None else seen.hive_id,
            peak_context_length=None if seen is None else seen.context_length,
            peak_slots=None if seen is None else seen.slots,
            error_pct=None if seen is None else error_pct(seen),
            weights_bytes=need.weights_bytes,
            cache_bytes=need.cache_bytes,
            overhead_bytes=need.overhead_bytes,
            free_bytes=choice.free_bytes,
            context_length=need.context_length,
            slots=need.slots,
            disk_needed_bytes=to_come,
            disk_free_bytes=room,
            fits=False if crowded else choice.fits,
            reasons=reasons,
            shares=choice.shares(choice.free) if choice.fits else (),
        )
