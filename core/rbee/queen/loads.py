"""Workers that a person wants to be there, before anybody asks their model."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence

import msgspec

from rbee.builtin.policies import BalancedPolicy
from rbee.contract.errors import (
    InsufficientMemoryError,
    ModelFileError,
    ModelNotFoundError,
    NoPlacementError,
    NotFoundError,
    RbeeError,
    WorkerFailedError,
)
from rbee.queen.changes import Changes
from rbee.queen.demand import Demand, Tell
from rbee.queen.looks import Looks
from rbee.queen.names import ModelNames, Resolved
from rbee.queen.refusing import refused
from rbee.queen.soon import RoomSoon
from rbee.queen.telling import choosing
from rbee.queen.views import Views
from rbee.scheduler import Decision, HiveView, PlaceRequest, Refusal, Selector, Start, Wish, holds, place
from rbee.settings import Settings
from rbee.telemetry import TelemetryRegistry, WorkerEntry

_POLICY = BalancedPolicy()
"""Orders workers, of which none is looked at here."""

_LOOK_INTO_S = 5.0
_TRIES = 3
_HIVES_TRIED = 3
_PAUSE_S = 0.5
_HEARD_S = 10.0
_LOOK_S = 1.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wants to be there.

    Attributes:
        name: of the model, as it was called.
        found: what that means.
        hive_id: only there, when given.
        where: only where these hold.
        context_length: tokens a slot of a new worker; None for what the setting says.
    """

    name: str
    found: Resolved
    hive_id: str | None = None
    where: tuple[Selector, ...] = ()
    context_length: int | None = None


class Loads:
    """Starts further workers of a model, on machines that have none where that is possible.

    Args:
        telemetry: the colony.
        names: from names to models.
        views: of the colony.
        looks: into models that nobody has yet.
        demand: carries out starts.
        soon: waits for room that is being made.
        changes: tell of workers.
        settings: context and slots where nothing is said, and how long room is waited for.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        names: ModelNames,
        views: Views,
        looks: Looks,
        demand: Demand,
        soon: RoomSoon,
        changes: Changes,
        settings: Settings,
    ) -> None:
        self._telemetry = telemetry
        self._names = names
        self._views = views
        self._looks = looks
        self._demand = demand
        self._soon = soon
        self._changes = changes
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

    async def another(self, wanted: Wanted, tell: Tell) -> Wanted:
        """Start one more worker, or wait for one that is being started.

        Args:
            wanted: what is to be there.
            tell: given the load's events.

        Returns:
            The same, with all that the vendors have where what lies here could not be placed.

        Raises:
            NoPlacementError, EngineUnavailableError: it cannot be, with one reason a machine.
            RbeeError: loading failed.
        """
        request = PlaceRequest(
            variants=wanted.found.variants,
            hive_id=wanted.hive_id,
            context_length=wanted.context_length or self._settings.worker.context_length,
            slots=self._settings.worker.slots,
            where=wanted.where,
        )
        until = asyncio.get_running_loop().time() + self._settings.queen.slot_wait_s
        unable: dict[str, RbeeError] = {}
        looked, tries = False, 0
        while True:
            decision = self._decide(request, wanted, unable)
            if not looked and not (isinstance(decision, Start) and decision.present):
                looked = True
                request = await self._looks.into(request, within_s=_LOOK_INTO_S)
                continue
            if isinstance(decision, Refusal):
                if await self._soon.after_refusal(request, unable, until, tell):
                    continue
                if (wider := await self._names.widen(wanted.found)) is not None:
                    wanted = msgspec.structs.replace(wanted, found=wider)
                    request = msgspec.structs.replace(request, variants=wider.variants)
                    looked = False
                    continue
                raise next(iter(unable.values()), refused(wanted.found, decision))
            if not isinstance(decision, Start):
                raise TypeError("without candidates there is nothing to use or to wait for")
            if await self._soon.before_evicting(decision, until):
                continue
            try:
                worker_id = await self._start(wanted, decision, tell)
            except (ModelNotFoundError, ModelFileError, WorkerFailedError) as error:
                # What a name means and how its file is may depend on the machine; where a worker has crashed it is
                # not started again.
                if wanted.hive_id is not None or len(unable) == _HIVES_TRIED - 1:
                    raise
                unable[decision.hive_id] = error
            except (NoPlacementError, NotFoundError, InsufficientMemoryError):
                # The hive knows better than a picture that is a second old; look again with a fresh one.
                tries += 1
                if tries == _TRIES:
                    raise
                await asyncio.sleep(_PAUSE_S)
            else:
                if worker_id is not None:
                    await self._until_it_serves(worker_id, wanted.found)
                    return wanted

    async def where_there_is_room(self, found: Resolved, wish: Wish) -> str | None:
        """Start one more worker if nobody has to be stopped and nothing to be fetched for it, and none is on its way.

        Args:
            found: the model.
            wish: what those who wait ask of a worker.

        Returns:
            Its id; None when none was started.

        Raises:
            RbeeError: loading failed.
        """
        if self._demand.comes(found.model_ids, wish.hive_id):
            return None
        request = PlaceRequest(
            variants=found.variants,
            capability=wish.capability,
            hive_id=wish.hive_id,
            device=wish.device,
            context_length=self._settings.worker.context_length,
            slots=self._settings.worker.slots,
        )
        decision = self._decide(request, Wanted(name=found.name, found=found), frozenset())
        if not isinstance(decision, Start) or decision.evict or not decision.present:
            return None
        worker_id = await self._demand.ensure(found.model_ids, decision, decision.hive_id, None, keep=True)
        if worker_id is not None:
            await self._until_it_serves(worker_id, found)
        return worker_id

    async def _until_it_serves(self, worker_id: str, found: Resolved) -> None:
        """Wait until the queen has heard of a worker what its hive has told already."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _HEARD_S
        while (left := until - loop.time()) > 0:
            entry = self._telemetry.get_worker(worker_id)
            if entry is not None and self._telemetry.is_routable(entry):
                return
            await self._changes.wait(found.model_ids, min(_LOOK_S, left))

    async def _start(self, wanted: Wanted, decision: Start, tell: Tell) -> str | None:
        start = msgspec.structs.replace(decision, context_length=wanted.context_length)
        if wanted.name != start.model_id:
            tell(choosing(wanted.name, start))
        # A load on another machine is none of which the demands are known to hold.
        only = start.hive_id if wanted.where else wanted.hive_id
        return await self._demand.ensure(wanted.found.model_ids, start, only, tell, keep=False)

    def _decide(self, request: PlaceRequest, wanted: Wanted, without: Container[str]) -> Decision:
        hives = [hive for hive in self._views.hives(request.variants) if hive.hive_id not in without]
        have = {entry.hive_id for entry in self.there(wanted.found, None)}
        others = [hive for hive in hives if hive.hive_id not in have]
        first = _placed(request, others) if have and others else None
        return first if isinstance(first, Start) else _placed(request, hives)


def _holds(where: Sequence[Selector], hive: HiveView | None, entry: WorkerEntry) -> bool:
    return hive is not None and holds(where, hive, entry.device)


def _placed(request: PlaceRequest, hives: list[HiveView]) -> Decision:
    return place(request, (), lambda: hives, _POLICY)
