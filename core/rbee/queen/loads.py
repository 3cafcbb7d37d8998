"""Workers that a person wants to be there, before anybody asks their model."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rbee.builtin.policies import BalancedPolicy
from rbee.queen.demand import Demand, Tell
from rbee.queen.looks import Looks
from rbee.queen.names import Resolved
from rbee.queen.refusing import refused
from rbee.queen.telling import choosing
from rbee.queen.views import Views
from rbee.scheduler import Decision, HiveView, PlaceRequest, Refusal, Selector, Start, Wish, holds, place
from rbee.settings import Settings
from rbee.telemetry import TelemetryRegistry, WorkerEntry

_LOOK_INTO_S = 5.0


class Loads:
    """Starts further workers of a model, on machines that have none where that is possible.

    Args:
        telemetry: the colony.
        views: of the colony.
        looks: into models that nobody has yet.
        demand: carries out starts.
        settings: context and slots where nothing is said.
    """

    def __init__(
        self, telemetry: TelemetryRegistry, views: Views, looks: Looks, demand: Demand, settings: Settings
    ) -> None:
        self._telemetry = telemetry
        self._views = views
        self._looks = looks
        self._demand = demand
        self._settings = settings

    def there(self, found: Resolved, hive_id: str | None, where: Sequence[Selector] = ()) -> list[WorkerEntry]:
        """Workers of a model that serve.

        Args:
            found: the model.
            hive_id: only those there, when given.
            where: only those of which these hold.
        """
        hives = {hive.hive_id: hive for hive in self._views.hives(found.variants)} if where else {}
        return [
            entry
            for model_id in found.model_ids
            for entry in self._telemetry.find_workers_by_model(model_id)
            if self._telemetry.is_routable(entry)
            and hive_id in {None, entry.hive_id}
            and (not where or _holds(where, hives.get(entry.hive_id or ""), entry))
        ]

    async def another(
        self,
        found: Resolved,
        hive_id: str | None,
        where: tuple[Selector, ...],
        context_length: int | None,
        name: str,
        tell: Tell,
    ) -> None:
        """Start one more worker, or wait for one that is being started.

        Args:
            found: the model.
            hive_id: only there, when given.
            where: only where these hold.
            context_length: tokens a slot; None for the setting.
            name: of the model, as it was called.
            tell: given the load's events.

        Raises:
            NoPlacementError, EngineUnavailableError: it cannot be, with one reason a machine.
            RbeeError: loading failed.
        """
        request = PlaceRequest(
            variants=found.variants,
            hive_id=hive_id,
            context_length=context_length or self._settings.worker.context_length,
            slots=self._settings.worker.slots,
            where=where,
        )
        decision = self._decide(request, found)
        if isinstance(decision, Refusal) or (isinstance(decision, Start) and not decision.present):
            request = await self._looks.into(request, within_s=_LOOK_INTO_S)
            decision = self._decide(request, found)
        if isinstance(decision, Refusal):
            raise refused(found, decision)
        if not isinstance(decision, Start):
            raise TypeError("without candidates there is nothing to use or to wait for")
        start = msgspec.structs.replace(decision, context_length=context_length)
        if name != start.model_id:
            tell(choosing(name, start))
        # A load on another machine is none of which the demands are known to hold.
        only = start.hive_id if where else hive_id
        await self._demand.ensure(found.model_ids, start, only, tell, keep=False)

    async def where_there_is_room(self, found: Resolved, wish: Wish) -> bool:
        """Start one more worker if nobody has to be stopped and nothing to be fetched for it; whether one was started.

        Args:
            found: the model.
            wish: what those who wait ask of a worker.

        Raises:
            RbeeError: loading failed.
        """
        request = PlaceRequest(
            variants=found.variants,
            capability=wish.capability,
            hive_id=wish.hive_id,
            device=wish.device,
            context_length=self._settings.worker.context_length,
            slots=self._settings.worker.slots,
        )
        decision = self._decide(request, found)
        if not isinstance(decision, Start) or decision.evict or not decision.present:
            return False
        await self._demand.ensure(found.model_ids, decision, decision.hive_id, None, keep=True)
        return True

    def _decide(self, request: PlaceRequest, found: Resolved) -> Decision:
        hives = self._views.hives(request.variants)
        have = {entry.hive_id for entry in self.there(found, None)}
        without = [hive for hive in hives if hive.hive_id not in have]
        first = _placed(request, without) if have and without else None
        return first if isinstance(first, Start) else _placed(request, hives)


def _holds(where: Sequence[Selector], hive: HiveView | None, entry: WorkerEntry) -> bool:
    return hive is not None and holds(where, hive, entry.device)


def _placed(request: PlaceRequest, hives: list[HiveView]) -> Decision:
    return place(request, (), lambda: hives, BalancedPolicy())
