"""What each hive of the colony would take of a model, before anything is fetched."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from rbee.contract.errors import RbeeError
from rbee.contract.figures import ModelFigures
from rbee.contract.types import ModelVariant
from rbee.contract.wire import ModelPlan, Planned, PlanRow
from rbee.queen import views
from rbee.queen.held import HeldIndex
from rbee.queen.names import ModelNames
from rbee.queen.remote_figures import RemoteFigures
from rbee.scheduler import (
    Choice,
    Estimate,
    HiveView,
    PlaceRequest,
    Unsuitable,
    choose,
    completed,
    estimates,
    shared,
)
from rbee.settings import Settings
from rbee.telemetry import TelemetryRegistry

_MOST_LOOKS = 4
"""Remote files that are looked into for one plan."""


class Plans:
    """Makes plans; starts and fetches nothing.

    Args:
        telemetry: the colony.
        names: from names to models.
        held: models on the disks of the hives.
        failure: when and why a variant last failed to load on a hive.
        figures: of models that nobody has yet.
        settings: context and slots of a worker, where the request says nothing.
        clock: the telemetry's.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        names: ModelNames,
        held: HeldIndex,
        failure: views.FailureOf,
        figures: RemoteFigures,
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        self._telemetry = telemetry
        self._names = names
        self._held = held
        self._failure = failure
        self._figures = figures
        self._settings = settings
        self._clock = clock

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
        looked: set[str] = set()
        while True:
            request = self._request(wanted, variants)
            needs = estimates(request)
            hives = [hive for hive in self._hives(variants) if hive_id in {None, hive.hive_id}]
            chosen = [(hive, choose(request, hive, needs)) for hive in hives]
            unread = _unread([choice for _, choice in chosen], variants, needs, looked)
            if unread is None or len(looked) >= _MOST_LOOKS:
                break
            looked.add(unread.model_id)
            variants = await self._looked_into(unread, variants, say)
        rows = [self._row(hive, choice, variants) for hive, choice in chosen]
        return Planned(model=wanted.model, variants=variants, hives=tuple(sorted(rows, key=lambda row: row.hive_id)))

    def _request(self, wanted: ModelPlan, variants: tuple[ModelVariant, ...]) -> PlaceRequest:
        return PlaceRequest(
            variants=variants,
            context_length=wanted.context_length or self._settings.worker.context_length,
            slots=wanted.slots or self._settings.worker.slots,
        )

    def _hives(self, variants: Sequence[ModelVariant]) -> list[HiveView]:
        return views.hives(self._telemetry, variants, self._held, self._clock, self._failure)

    async def _looked_into(
        self, variant: ModelVariant, variants: tuple[ModelVariant, ...], say: Callable[[str], None]
    ) -> tuple[ModelVariant, ...]:
        """The variants with what the beginning of that one's files tells."""
        try:
            figures = await self._figures.of(variant)
        except RbeeError as error:
            say(f"What {variant.model_id} needs is a rough estimate: {error.message}")
            return variants
        if figures is None:
            return variants
        say(f"Read the beginning of {variant.model_id} for its figures")
        common = shared(figures)
        return tuple(_with(one, figures if one.model_id == variant.model_id else common) for one in variants)

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
        variant, need = choice.variant, choice.estimate
        return PlanRow(
            hive_id=hive.hive_id,
            chosen=variant,
            engine=choice.engine.name,
            device=choice.device.id,
            file=variant.files[0].name if variant.files else variant.in_place,
            size_bytes=variant.size_bytes,
            present=choice.present,
            memory_bytes=need.total_bytes,
            weights_bytes=need.weights_bytes,
            cache_bytes=need.cache_bytes,
            overhead_bytes=need.overhead_bytes,
            free_bytes=choice.free_bytes,
            context_length=need.context_length,
            slots=need.slots,
            fits=choice.fits,
            reasons=reasons,
        )


def _unread(
    choices: Sequence[Choice | Unsuitable],
    variants: Sequence[ModelVariant],
    needs: Sequence[Estimate],
    looked: set[str],
) -> ModelVariant | None:
    """A variant that some hive would take and whose need is only roughly known, that was not looked into yet.

    Where no hive can take any, the first of all: a plan tells its figures too.
    """
    for choice in choices:
        if isinstance(choice, Choice) and choice.estimate.rough and choice.variant.model_id not in looked:
            return choice.variant
    if not any(isinstance(choice, Choice) for choice in choices) and needs[0].rough and not looked:
        return variants[0]
    return None


def _with(variant: ModelVariant, figures: ModelFigures) -> ModelVariant:
    known = variant.figures or ModelFigures()
    return msgspec.structs.replace(variant, figures=completed(known, figures))
