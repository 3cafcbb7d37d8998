"""From a request to a reserved place at a worker, loading the model when that is needed."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from rbee.clients import Credentials
from rbee.contract.errors import NoPlacementError
from rbee.contract.types import Capability
from rbee.gateway import Dispatcher, Outcome, Route
from rbee.queen.breakers import Breakers
from rbee.queen.changes import Changes
from rbee.queen.deciding import Deciding
from rbee.queen.decisions import Decisions, Quick
from rbee.queen.demand import Demand
from rbee.queen.guarded import GuardedPolicy
from rbee.queen.leases import WorkerLease
from rbee.queen.looks import Looks
from rbee.queen.names import ModelNames, Resolved
from rbee.queen.open_leases import OpenLeases
from rbee.queen.placing import Placing
from rbee.queen.ready import ReadyWorkers
from rbee.queen.refusing import refused
from rbee.queen.soon import RoomSoon
from rbee.queen.tunnels import Roads
from rbee.queen.views import Views
from rbee.queen.waiting import WaitingRoom
from rbee.queen.wanted import Wanted, continues, wanted_by, wish_of
from rbee.queen.yielding import Yielding
from rbee.scheduler import Refusal, Use, Wish
from rbee.settings import Settings
from rbee.telemetry import TelemetryRegistry

_SPOKEN_S = 5.0
"""How long a new worker may take to say what it can do."""
_LOOK_S = 0.1


class QueenDispatcher(Dispatcher):
    """Places requests by telemetry, policy and demand.

    Args:
        telemetry: the colony.
        names: from names to models.
        views: of the colony.
        looks: into models that nobody has yet.
        demand: carries out starts.
        policy: orders workers.
        settings: waits.
        credentials: shown to workers.
        breakers: keep requests from workers that fail again and again; the same ones that `views` asks.
        soon: waits for room that is being made.
        yielding: workers that have to make room; the same ones that `views` asks.
        roads: lead to workers.

    Attributes:
        room: where requests wait for slots.
        changes: of the workers of a model, for those who wait for a load.
        decisions: that were made lately.
        leases: slots that requests hold.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        names: ModelNames,
        views: Views,
        looks: Looks,
        demand: Demand,
        policy: GuardedPolicy,
        settings: Settings,
        credentials: Credentials,
        breakers: Breakers,
        soon: RoomSoon,
        yielding: Yielding,
        roads: Roads | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._names = names
        self._policy = policy
        self.room = WaitingRoom(settings.queen.max_waiting)
        self.changes = Changes()
        self.decisions = Decisions(settings.queen.decisions, policy, policy.default)
        self.leases = OpenLeases(
            telemetry, views.history, breakers, self.room, policy.name, credentials, roads or Roads()
        )
        self._ready = ReadyWorkers(
            telemetry, names, views, lambda: (breakers.changes, yielding.changes), policy, self._crowded
        )
        self._deciding = Deciding(views, policy, self.decisions, settings)
        self._placing = Placing(
            telemetry,
            views,
            self._deciding,
            self.leases,
            looks,
            demand,
            soon,
            self.room,
            self.changes,
            yielding,
            settings,
        )

    def try_acquire(self, route: Route) -> WorkerLease | None:
        """See `Dispatcher.try_acquire`."""
        if route.tried:
            return self._another(route)
        wish = wish_of(route)
        best = self._ready.best(route.model, wish, trusted=route.trusted, traits=route.traits)
        if best is None:
            return None
        entry, found, among, views, candidates = best
        request = partial(self._deciding.request, found, wish, route.traits)
        quick = Quick(time.time(), self._policy.decided_by, candidates, views, entry.worker_id, request)
        self.decisions.quick(route.request_id, route.model, quick)
        return self._fit_now(self.leases.lease(entry, found, among, route.traits), route)

    async def acquire(self, route: Route) -> WorkerLease:
        """See `Dispatcher.acquire`."""
        lease = await self.place(wanted_by(route))
        if continues(route):
            try:
                await self._spoken(lease)
            except BaseException:
                lease.finish(Outcome(reached=True))
                raise
        return _fit(lease, route)

    async def place(self, wanted: Wanted) -> WorkerLease:
        """A reserved slot at a worker.

        Raises:
            ModelNotFoundError: nobody knows the model.
            NoPlacementError, EngineUnavailableError: it cannot be loaded, with one reason a machine.
            QueueFullError, AllSlotsBusyError, RequestTimeoutError: waiting was in vain.
            RbeeError: loading failed.
        """
        found = await self._names.resolve(wanted.model, trusted=wanted.trusted)
        placed = await self._placing.lead(found, wanted)
        if isinstance(placed, Refusal) and (wider := await self._names.widen(found)) is not None:
            # What lies in the colony will not do; the vendors may have what does.
            found = wider
            placed = await self._placing.lead(found, wanted)
        if isinstance(placed, Refusal):
            raise refused(found, placed)
        return placed

    def _another(self, route: Route) -> WorkerLease | None:
        """A place at a worker that has not been tried, where one is free."""
        name, trusted = self._names.meant(route.model, trusted=route.trusted)
        found = self._names.present(name, trusted=trusted)
        if found is None or self._crowded(found):
            return None
        wanted = wanted_by(route)
        request = self._deciding.request(found, Wish(capability=wanted.capability), route.traits)
        decision = self._deciding.now(request, found, wanted)
        if not isinstance(decision, Use):
            return None
        return self._fit_now(self.leases.reserve(decision.worker_id, found, route.traits), route)

    def _fit_now(self, lease: WorkerLease, route: Route) -> WorkerLease | None:
        """As `_fit`; None where the worker has yet to say what it can do."""
        if lease.capabilities is None and continues(route) and self._is_silent(lease):
            lease.finish(Outcome(reached=True))
            return None
        return _fit(lease, route)

    async def _spoken(self, lease: WorkerLease) -> None:
        """Wait until a worker of which only its hive has told says what it can do: it has been asked already."""
        clock = asyncio.get_running_loop().time
        until = clock() + _SPOKEN_S
        while lease.capabilities is None and self._is_silent(lease) and clock() < until:
            await self.changes.wait((lease.model_id,), _LOOK_S)
        entry = self._telemetry.get_worker(lease.worker_id)
        if entry is not None:
            lease.capabilities = entry.capabilities

    def _is_silent(self, lease: WorkerLease) -> bool:
        entry = self._telemetry.get_worker(lease.worker_id)
        return entry is not None and entry.implementation is None

    def _crowded(self, found: Resolved) -> bool:
        """Whether somebody waits for a slot at a worker of the model."""
        room = self.room
        return not room.empty and any(True for one in found.model_ids for _ in room.earlier(one, None))


def _fit(lease: WorkerLease, route: Route) -> WorkerLease:
    """The lease, if its worker can take up an answer where that is wanted.

    Raises:
        NoPlacementError: it has not said that it can.
    """
    if continues(route) and Capability.CONTINUATION not in (lease.capabilities or ()):
        lease.finish(Outcome(reached=True))
        raise NoPlacementError("no other worker of the model can take up an answer that has begun")
    return lease
