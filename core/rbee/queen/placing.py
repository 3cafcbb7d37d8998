"""One request's way to a slot: decide, wait, load, and decide again until it has one or is refused."""

from __future__ import annotations

import asyncio
from functools import partial

from rbee.contract.errors import (
    InsufficientDiskError,
    InsufficientMemoryError,
    ModelFileError,
    ModelNotFoundError,
    NoPlacementError,
    NotFoundError,
    RbeeError,
    RequestTimeoutError,
    WorkerFailedError,
)
from rbee.gateway import Queued
from rbee.queen.changes import Changes
from rbee.queen.deciding import Deciding
from rbee.queen.demand import Demand
from rbee.queen.departures import InUseError
from rbee.queen.leases import WorkerLease
from rbee.queen.looks import Looks
from rbee.queen.names import Resolved
from rbee.queen.open_leases import OpenLeases
from rbee.queen.refusing import unknown_there
from rbee.queen.soon import RoomSoon
from rbee.queen.telling import choosing, queued
from rbee.queen.turns import Turn
from rbee.queen.views import Views
from rbee.queen.waiting import WaitingRoom
from rbee.queen.wanted import Wanted
from rbee.queen.yielding import Claim, Yielding
from rbee.scheduler import PlaceRequest, Refusal, Start, Use, Wait, Wish
from rbee.settings import Settings
from rbee.telemetry import TelemetryRegistry

_TRANSIENT_TRIES = 3
_HIVES_TRIED = 3
"""Machines on which one request may have a start fail: more of them would mean the model."""

_TRANSIENT_PAUSE_S = 0.5
_LOOK_AGAIN_S = 1.0
_LOOK_INTO_S = 5.0
"""How long the beginnings of remote files may take before a model is started by a rough estimate."""


class _Way:
    """What one request has met so far."""

    def __init__(self, request: PlaceRequest, wanted: Wanted, now: float, settings: Settings) -> None:
        self.request = request
        self.wanted = wanted
        self.load_until = now + settings.queen.load_timeout_s
        self.room_until = now + settings.queen.slot_wait_s
        # Who names a worker has nothing started.
        self.looked = wanted.worker_id is not None
        self.transient = self.crashes = 0
        self.full: InsufficientDiskError | None = None
        self.unknown: dict[str, RbeeError] = {}
        """Why nothing more is started on a hive, by its id."""
        self.short: set[str] = set()
        """Hives that have had less memory than was known, once."""


class Placing:
    """Leads requests to slots.

    Args:
        telemetry: the colony.
        views: of the colony.
        deciding: what is to be done about a request.
        leases: slots that are taken.
        looks: into models that nobody has yet.
        demand: carries out starts.
        soon: waits for room that is being made.
        room: where requests wait for slots.
        changes: of the workers of a model.
        yielding: workers that have to make room.
        settings: waits.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        views: Views,
        deciding: Deciding,
        leases: OpenLeases,
        looks: Looks,
        demand: Demand,
        soon: RoomSoon,
        room: WaitingRoom,
        changes: Changes,
        yielding: Yielding,
        settings: Settings,
    ) -> None:
        self._yielding = yielding
        self._telemetry = telemetry
        self._views = views
        self._deciding = deciding
        self._leases = leases
        self._looks = looks
        self._demand = demand
        self._soon = soon
        self._room = room
        self._changes = changes
        self._settings = settings

    async def lead(self, found: Resolved, wanted: Wanted) -> WorkerLease | Refusal:
        """A reserved slot, or why there is none.

        Args:
            found: what the request's name means.
            wanted: what it wants.

        Raises:
            RbeeError: see `QueenDispatcher.place`.
        """
        with self._yielding.claim(found.model_ids[0]) as claim:
            return await self._lead(found, wanted, claim)

    async def _lead(self, found: Resolved, wanted: Wanted, claim: Claim) -> WorkerLease | Refusal:
        wish = Wish(
            capability=wanted.capability, hive_id=wanted.hive_id, worker_id=wanted.worker_id, device=wanted.device
        )
        request = self._deciding.request(found, wish, wanted.traits)
        way = _Way(request, wanted, asyncio.get_running_loop().time(), self._settings)
        turn = Turn(
            self._room,
            found.model_ids,
            wish,
            self._settings.queen.slot_wait_s,
            wanted.traits,
            partial(_tell_place, wanted),
        )
        try:
            while True:
                decision = self._deciding.decide(way.request, found, wanted, way.unknown)
                if isinstance(decision, Use) and self._may_use(decision.worker_id, turn):
                    turn.served()
                    return self._leases.reserve(decision.worker_id, found, wanted.traits)
                if isinstance(decision, Use) or (isinstance(decision, Wait) and not decision.loading):
                    await turn.wait()
                    continue
                if not way.looked and not _needs_no_look(decision):
                    # What would be fetched, or is refused for its size, is looked into before.
                    way.looked = True
                    way.request = await self._looks.into(way.request, within_s=_LOOK_INTO_S)
                    continue
                if isinstance(decision, Refusal) and not self._comes(found, wanted):
                    if await self._soon.after_refusal(way.request, way.unknown, way.room_until, wanted.tell, claim):
                        continue
                    return self._refusal(way, decision)
                if isinstance(decision, Start) and await self._soon.before_evicting(decision, way.room_until):
                    continue
                if isinstance(decision, Start):
                    # Who need not go for it serves again, however long it takes to load.
                    claim.keep(decision.evict)
                await self._try_to_load(way, found, decision)
        finally:
            # Also with a slot in hand: more than one may be free, and only the first in the queue was called.
            turn.pass_on()

    def _refusal(self, way: _Way, decision: Refusal) -> Refusal:
        """The refusal, with what was learned on the way.

        Raises:
            RbeeError: what a hive has said is the better answer.
        """
        if way.full is not None:
            raise way.full
        if way.unknown and all(hive.hive_id in way.unknown for hive in self._views.hives(())):
            raise next(iter(way.unknown.values()))
        return unknown_there(decision, way.unknown)

    async def _try_to_load(self, way: _Way, found: Resolved, decision: Start | Wait | Refusal) -> None:
        """Load, or wait for a load; what went wrong and may go better elsewhere or later is remembered.

        Raises:
            RequestTimeoutError: it took too long.
            RbeeError: it failed, and another try would not help.
        """
        try:
            async with asyncio.timeout_at(way.load_until):
                await self._load(way, found, decision)
        except TimeoutError as error:
            raise RequestTimeoutError(
                f"Model {found.name!r} was not loaded within {self._settings.queen.load_timeout_s:g} s."
            ) from error
        except (ModelNotFoundError, InsufficientMemoryError, WorkerFailedError, ModelFileError) as error:
            # What a name means and how its file is may depend on the machine, and what it has left it knows best
            # itself; where a worker has crashed it is not started again at once.
            way.crashes += isinstance(error, WorkerFailedError | ModelFileError)
            if not isinstance(decision, Start) or way.wanted.hive_id is not None or way.crashes >= _HIVES_TRIED:
                raise
            if isinstance(error, InsufficientMemoryError) and decision.hive_id not in way.short:
                # Once more with fresh figures: somebody may have to make room, or another hive is better.
                way.short.add(decision.hive_id)
                await asyncio.sleep(_TRANSIENT_PAUSE_S)
                return
            way.unknown[decision.hive_id] = error
        except InUseError:
            # Somebody was quicker, and this one has time.
            way.transient += 1
            if way.transient >= _TRANSIENT_TRIES and asyncio.get_running_loop().time() >= way.room_until:
                raise
            await asyncio.sleep(_TRANSIENT_PAUSE_S)
        except (NoPlacementError, NotFoundError, InsufficientDiskError) as error:
            # The hive knows better than a picture that is a second old; look again with a fresh one.
            way.transient += 1
            if way.transient >= _TRANSIENT_TRIES:
                raise
            way.full = error if isinstance(error, InsufficientDiskError) else None
            await asyncio.sleep(_TRANSIENT_PAUSE_S)

    async def _load(self, way: _Way, found: Resolved, decision: Start | Wait | Refusal) -> None:
        """Start a worker, join a load that is under way, or wait for news of somebody else's."""
        wanted = way.wanted
        start = decision if isinstance(decision, Start) else None
        # Where a hive has failed, only loads on the hive of the decision will do.
        only = start.hive_id if start is not None and way.unknown else wanted.hive_id
        refused = isinstance(decision, Refusal)
        if await self._demand.join(
            found.model_ids, only, wanted.tell, keep=wanted.keep, start=start, at_any_rate=refused
        ):
            return
        if start is None:
            await self._changes.wait(found.model_ids, _LOOK_AGAIN_S)
            return
        if wanted.tell is not None and wanted.model != start.model_id:
            wanted.tell(choosing(wanted.model, start))
        await self._demand.ensure(found.model_ids, start, only, wanted.tell, keep=wanted.keep)

    def _comes(self, found: Resolved, wanted: Wanted) -> bool:
        """Whether what is refused for want of room is being loaded for somebody else."""
        return wanted.worker_id is None and self._demand.comes(found.model_ids, wanted.hive_id)

    def _may_use(self, worker_id: str, turn: Turn) -> bool:
        entry, worker = self._telemetry.get_worker(worker_id), self._views.candidate(worker_id)
        if entry is None or entry.model_id is None or worker is None:
            return False
        return turn.mine(entry.model_id, worker)


def _tell_place(wanted: Wanted, place: Queued) -> None:
    if wanted.on_wait is not None:
        wanted.on_wait(place)
    if wanted.tell is not None:
        wanted.tell(queued(wanted.model, place))


def _needs_no_look(decision: Start | Wait | Refusal) -> bool:
    return isinstance(decision, Wait) or (isinstance(decision, Start) and decision.present)
