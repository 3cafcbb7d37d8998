"""From a request to a reserved place at a worker, loading the model when that is needed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Container
from functools import partial

from rbee.contract.errors import (
    InsufficientDiskError,
    InsufficientMemoryError,
    ModelNotFoundError,
    NoPlacementError,
    NotFoundError,
    RbeeError,
    RequestTimeoutError,
    WorkerFailedError,
)
from rbee.contract.types import Capability
from rbee.gateway import Dispatcher, Outcome, Queued, Route, Traits
from rbee.queen.breakers import Breakers
from rbee.queen.changes import Changes
from rbee.queen.decisions import Decisions, Quick
from rbee.queen.demand import Demand
from rbee.queen.guarded import GuardedPolicy
from rbee.queen.history import request_view
from rbee.queen.leases import WorkerLease
from rbee.queen.looks import Looks
from rbee.queen.names import ModelNames, Resolved
from rbee.queen.ready import ReadyWorkers
from rbee.queen.refusing import refused, unknown_there
from rbee.queen.soon import RoomSoon
from rbee.queen.targets import Targets
from rbee.queen.telling import choosing, queued
from rbee.queen.turns import Turn
from rbee.queen.views import Views
from rbee.queen.waiting import WaitingRoom
from rbee.queen.wanted import Wanted, continues, wanted_by, wish_of
from rbee.scheduler import Decision, HiveView, PlaceRequest, Refusal, Snapshot, Start, Use, Wait, Wish, place
from rbee.settings import Settings
from rbee.telemetry import Presence, TelemetryRegistry, WorkerEntry

_SERVER_ERRORS = 500
_TRANSIENT_TRIES = 3
_HIVES_TRIED = 3
"""Machines on which one request may have a start fail: more of them would mean the model."""

_TRANSIENT_PAUSE_S = 0.5
_LOOK_AGAIN_S = 1.0
_LOOK_INTO_S = 5.0
"""How long the beginnings of remote files may take before a model is started by a rough estimate."""


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
        token: the colony's, sent to workers.
        breakers: keep requests from workers that fail again and again; the same ones that `views` asks.
        soon: waits for room that is being made.
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
        token: str | None,
        breakers: Breakers,
        soon: RoomSoon,
    ) -> None:
        self._telemetry = telemetry
        self._soon = soon
        self._breakers = breakers
        self._names = names
        self._views = views
        self._looks = looks
        self._demand = demand
        self._policy = policy
        self._settings = settings
        self._context_length, self._slots = settings.worker.context_length, settings.worker.slots
        self._targets = Targets(token)
        self.room = WaitingRoom(settings.queen.max_waiting)
        self.changes = Changes()
        self._ready = ReadyWorkers(telemetry, names, views, breakers, policy, self._crowded)
        self._leases: set[WorkerLease] = set()
        self.decisions = Decisions(settings.queen.decisions, policy)
        self.on_ended: Callable[[str, float | None], None] = _nobody
        """Told each request's end: the worker, and how long its model is to stay, as the request said."""

    def try_acquire(self, route: Route) -> WorkerLease | None:
        """See `Dispatcher.try_acquire`."""
        if route.tried:
            return self._another(route)
        wish = wish_of(route)
        best = self._ready.best(route.model, wish, trusted=route.trusted, traits=route.traits)
        if best is None:
            return None
        entry, found, among, views, candidates = best
        request = partial(self._request, found, wish, route.traits)
        quick = Quick(time.time(), self._policy.decided_by, candidates, views, entry.worker_id, request)
        self.decisions.quick(route.request_id, route.model, quick)
        return self._fit(self._lease(entry, found, among, route.traits), route)

    def _another(self, route: Route) -> WorkerLease | None:
        """A place at a worker that has not been tried, where one is free."""
        name, trusted = self._names.meant(route.model, trusted=route.trusted)
        found = self._names.present(name, trusted=trusted)
        if found is None or self._crowded(found):
            return None
        wanted = wanted_by(route)
        request = self._request(found, Wish(capability=wanted.capability), route.traits)
        decision = self._decide_now(request, found, wanted)
        if not isinstance(decision, Use):
            return None
        return self._fit(self._reserve(decision.worker_id, found, route.traits), route)

    def _crowded(self, found: Resolved) -> bool:
        """Whether somebody waits for a slot at a worker of the model."""
        room = self.room
        return not room.empty and any(True for one in found.model_ids for _ in room.earlier(one, None))

    async def acquire(self, route: Route) -> WorkerLease:
        """See `Dispatcher.acquire`."""
        return self._fit(await self.place(wanted_by(route)), route)

    def running(self) -> dict[str, int]:
        """Requests that are with a worker, by the canonical name of its model."""
        return Counter(lease.model_id for lease in self._leases)

    def waiting(self) -> dict[str, int]:
        """Requests that wait for a slot, by the canonical name of the model."""
        return self.room.waiting()

    async def place(self, wanted: Wanted) -> WorkerLease:
        """A reserved slot at a worker.

        Raises:
            ModelNotFoundError: nobody knows the model.
            NoPlacementError, EngineUnavailableError: it cannot be loaded, with one reason a machine.
            QueueFullError, AllSlotsBusyError, RequestTimeoutError: waiting was in vain.
            RbeeError: loading failed.
        """
        found = await self._names.resolve(wanted.model, trusted=wanted.trusted)
        placed = await self._place(found, wanted)
        if isinstance(placed, Refusal) and (wider := await self._names.widen(found)) is not None:
            # What lies in the colony will not do; the vendors may have what does.
            found = wider
            placed = await self._place(found, wanted)
        if isinstance(placed, Refusal):
            raise refused(found, placed)
        return placed

    async def _place(self, found: Resolved, wanted: Wanted) -> WorkerLease | Refusal:
        wish = Wish(
            capability=wanted.capability, hive_id=wanted.hive_id, worker_id=wanted.worker_id, device=wanted.device
        )
        request = self._request(found, wish, wanted.traits)
        loop = asyncio.get_running_loop()
        load_deadline = loop.time() + self._settings.queen.load_timeout_s
        turn = Turn(
            self.room,
            found.model_ids,
            wish,
            self._settings.queen.slot_wait_s,
            wanted.traits,
            partial(self._tell_place, wanted),
        )
        transient = crashes = 0
        # Who names a worker has nothing started.
        looked = wanted.worker_id is not None
        full: InsufficientDiskError | None = None
        unknown: dict[str, RbeeError] = {}
        short: set[str] = set()
        patience = loop.time() + self._settings.queen.slot_wait_s
        try:
            while True:
                decision = self._decide(request, found, wanted, unknown)
                if isinstance(decision, Use) and self._may_use(decision.worker_id, turn):
                    turn.served()
                    return self._reserve(decision.worker_id, found, wanted.traits)
                if isinstance(decision, Use) or (isinstance(decision, Wait) and not decision.loading):
                    await turn.wait()
                    continue
                if not looked and not _needs_no_look(decision):
                    # What would be fetched, or is refused for its size, is looked into before.
                    looked = True
                    request = await self._looks.into(request, within_s=_LOOK_INTO_S)
                    continue
                if isinstance(decision, Refusal) and not self._comes(found, wanted):
                    if await self._soon.after_refusal(request, self._policy, unknown, patience):
                        continue
                    if full is not None:
                        raise full
                    if unknown and all(hive.hive_id in unknown for hive in self._views.hives(())):
                        raise next(iter(unknown.values()))
                    return unknown_there(decision, unknown)
                if isinstance(decision, Start) and await self._soon.before_evicting(decision, patience):
                    continue
                try:
                    async with asyncio.timeout_at(load_deadline):
                        await self._load(found, wanted, decision, alone=bool(unknown))
                except TimeoutError as error:
                    raise RequestTimeoutError(
                        f"Model {found.name!r} was not loaded within {self._settings.queen.load_timeout_s:g} s."
                    ) from error
                except (ModelNotFoundError, InsufficientMemoryError, WorkerFailedError) as error:
                    # What a name means may depend on the machine, and what it has left it knows best itself; where a
                    # worker has crashed it is not started again at once.
                    crashes += isinstance(error, WorkerFailedError)
                    if not isinstance(decision, Start) or wanted.hive_id is not None or crashes >= _HIVES_TRIED:
                        raise
                    if isinstance(error, InsufficientMemoryError) and decision.hive_id not in short:
                        # Once more with fresh figures: somebody may have to make room, or another hive is better.
                        short.add(decision.hive_id)
                        await asyncio.sleep(_TRANSIENT_PAUSE_S)
                        continue
                    unknown[decision.hive_id] = error
                except (NoPlacementError, NotFoundError, InsufficientDiskError) as error:
                    # The hive knows better than a picture that is a second old; look again with a fresh one.
                    transient += 1
                    if transient >= _TRANSIENT_TRIES:
                        raise
                    full = error if isinstance(error, InsufficientDiskError) else None
                    await asyncio.sleep(_TRANSIENT_PAUSE_S)
        finally:
            # Also with a slot in hand: more than one may be free, and only the first in the queue was called.
            turn.pass_on()

    def finished(self, lease: WorkerLease, outcome: Outcome) -> None:
        """A leased request has ended."""
        self._leases.discard(lease)
        self._telemetry.release(lease.worker_id, outcome.first_byte_s)
        if lease.keep_alive_s is not None:
            self.on_ended(lease.worker_id, lease.keep_alive_s)
        if not outcome.reached:
            self._telemetry.mark_failed(lease.worker_id)
        if not outcome.reached or (outcome.status or 0) >= _SERVER_ERRORS:
            self._breakers.failed(lease.worker_id)
        elif outcome.status is not None:
            self._breakers.succeeded(lease.worker_id)
        else:
            self._breakers.undecided(lease.worker_id)
        self.room.wake(lease.model_id)

    def abandon_lost(self) -> None:
        """Tell requests whose workers are dead or hang: a machine that is gone closes no connection."""
        for lease in list(self._leases):
            entry = self._telemetry.get_worker(lease.worker_id)
            silent = entry is None or self._telemetry.presence(entry) in {Presence.HUNG, Presence.OFFLINE}
            if silent and lease.lost is not None:
                lost, lease.lost = lease.lost, None
                lost()

    def _request(self, found: Resolved, wish: Wish, traits: Traits) -> PlaceRequest:
        return PlaceRequest(
            capability=wish.capability,
            hive_id=wish.hive_id,
            worker_id=wish.worker_id,
            device=wish.device,
            variants=found.variants,
            context_length=self._context_length,
            slots=self._slots,
            view=request_view(traits),
        )

    def _decide(
        self, request: PlaceRequest, found: Resolved, wanted: Wanted, without: Container[str]
    ) -> Use | Start | Wait | Refusal:
        """The decision; on the hives `without` nothing is started."""
        if wanted.tried and isinstance(now := self._decide_now(request, found, wanted), Use):
            return now
        hives: list[HiveView] = []

        def looked_at() -> list[HiveView]:
            hives[:] = [one for one in self._views.hives(request.variants) if one.hive_id not in without]
            return hives

        candidates = self._views.candidates(found.model_ids, wanted.traits)
        decision = place(request, candidates, looked_at, self._policy)
        self._note(request, wanted, Snapshot(candidates=tuple(candidates), hives=tuple(hives) or None), decision)
        return decision

    def _decide_now(self, request: PlaceRequest, found: Resolved, wanted: Wanted) -> Use | Start | Wait | Refusal:
        """The decision among the workers there are, without those that have been tried; no hive is looked at."""
        candidates = self._views.candidates(found.model_ids, wanted.traits)
        if wanted.tried:
            candidates = [one for one in candidates if one.view.worker_id not in wanted.tried]
        decision = place(request, candidates, _no_hives, self._policy)
        if isinstance(decision, Use):
            self._note(request, wanted, Snapshot(candidates=tuple(candidates)), decision)
        return decision

    def _note(self, request: PlaceRequest, wanted: Wanted, snapshot: Snapshot, decision: Decision) -> None:
        policy, tried = self._policy.decided_by, tuple(sorted(wanted.tried))
        self.decisions.full(wanted.request_id, wanted.model, request, snapshot, decision, policy, tried)

    @staticmethod
    def _tell_place(wanted: Wanted, place: Queued) -> None:
        if wanted.on_wait is not None:
            wanted.on_wait(place)
        if wanted.tell is not None:
            wanted.tell(queued(wanted.model, place))

    def _fit(self, lease: WorkerLease, route: Route) -> WorkerLease:
        """The lease, if its worker can take up an answer where that is wanted.

        Raises:
            NoPlacementError: it has not said that it can.
        """
        if continues(route) and Capability.CONTINUATION not in (lease.capabilities or ()):
            lease.finish(Outcome(reached=True))
            raise NoPlacementError("no other worker of the model can take up an answer that has begun")
        return lease

    def _may_use(self, worker_id: str, turn: Turn) -> bool:
        entry, worker = self._telemetry.get_worker(worker_id), self._views.candidate(worker_id)
        if entry is None or entry.model_id is None or worker is None:
            return False
        return turn.mine(entry.model_id, worker)

    def _reserve(self, worker_id: str, found: Resolved, traits: Traits) -> WorkerLease:
        entry = self._telemetry.get_worker(worker_id)
        if entry is None:
            raise NoPlacementError(f"Worker {worker_id!r} has gone this instant; try again.")
        among = sum(len(self._telemetry.find_workers_by_model(model_id)) for model_id in found.model_ids)
        return self._lease(entry, found, among, traits)

    def _lease(self, entry: WorkerEntry, found: Resolved, among: int, traits: Traits) -> WorkerLease:
        self._telemetry.reserve(entry.worker_id)
        self._views.history.sent(entry, traits)
        self._breakers.sent(entry.worker_id)
        model_id = entry.model_id or found.model_ids[0]
        lease = WorkerLease(
            entry,
            model_id,
            traits.keep_alive_s,
            self._targets.at(entry.url or ""),
            self.finished,
            among,
            self._policy.name,
        )
        self._leases.add(lease)
        return lease

    def _comes(self, found: Resolved, wanted: Wanted) -> bool:
        """Whether what is refused for want of room is being loaded for somebody else."""
        return wanted.worker_id is None and self._demand.comes(found.model_ids, wanted.hive_id)

    async def _load(self, found: Resolved, wanted: Wanted, decision: Start | Wait | Refusal, *, alone: bool) -> None:
        """Start a worker, join a load that is under way, or wait for news of somebody else's.

        Args:
            found: the model.
            wanted: the request.
            decision: about it.
            alone: only loads on the hive of the decision will do.
        """
        start = decision if isinstance(decision, Start) else None
        only = start.hive_id if start is not None and alone else wanted.hive_id
        refused = isinstance(decision, Refusal)
        if await self._demand.join(
            found.model_ids, only, wanted.tell, keep=wanted.keep, start=start, at_any_rate=refused
        ):
            return
        if start is None:
            await self.changes.wait(found.model_ids, _LOOK_AGAIN_S)
            return
        if wanted.tell is not None and wanted.model != start.model_id:
            wanted.tell(choosing(wanted.model, start))
        await self._demand.ensure(found.model_ids, start, only, wanted.tell, keep=wanted.keep)


def _nobody(_worker_id: str, _keep_alive_s: float | None) -> None:
    return


def _no_hives() -> list[HiveView]:
    return []


def _needs_no_look(decision: Start | Wait | Refusal) -> bool:
    return isinstance(decision, Wait) or (isinstance(decision, Start) and decision.present)
