"""Room that is not there yet, and will be: starts that may fail, and workers that are being stopped or will be idle."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from rbee.builtin.policies import SeedPolicy
from rbee.queen.demand import Demand, Tell
from rbee.queen.departures import Departures
from rbee.queen.telling import for_room
from rbee.queen.views import Views
from rbee.queen.yielding import Claim, Yielding
from rbee.scheduler import PlaceRequest, Start, place

_ANY = SeedPolicy()
"""Of no account: no worker is chosen among."""

_LOOK_S = 0.1
"""Between two looks whether a worker is idle that was not: nothing that a request passes may cost anything for it."""

_REST = 20
"""A look of a large colony takes a while; this many times as long nobody looks."""


class _Look:
    """Those who want the same wait for one look.

    Attributes:
        task: done when there may be room.
        waiting: how many wait for it.
    """

    def __init__(self, task: asyncio.Task[None]) -> None:
        self.task = task
        self.waiting = 0


class RoomSoon:
    """Waits for it, so that nobody is refused or stopped for want of what is free a moment later.

    Args:
        views: of the colony.
        demand: starts under way.
        departures: stops under way.
        max_waiting: requests that may wait for one model until a busy worker is idle.
        yielding: workers that get nothing new meanwhile.
    """

    def __init__(
        self, views: Views, demand: Demand, departures: Departures, max_waiting: int, yielding: Yielding
    ) -> None:
        self._yielding = yielding
        self._views = views
        self._demand = demand
        self._departures = departures
        self._max = max_waiting
        self._looks: dict[Any, _Look] = {}

    async def after_refusal(
        self,
        request: PlaceRequest,
        without: Collection[str],
        until: float,
        tell: Tell | None = None,
        claim: Claim | None = None,
    ) -> bool:
        """Wait for room where it is only a matter of time; whether it is worth to decide anew.

        That is: for the end of a stop under way, of a start where what such hold is all that is missing, of somebody
        else's turn, or of the requests of workers that would then be stopped.

        Args:
            request: that was refused.
            without: hives on which nothing is started for it.
            until: by the loop's clock.
            tell: told when others have to be waited for.
            claim: of whoever may have others yield; None where they need not.
        """
        within_s = until - asyncio.get_running_loop().time()
        if self._departures.any:
            # A matter of a moment, and what it will free is not worth reckoning before.
            return await self._departures.one_ends(within_s)
        if self._demand.loading and self._fits(request, without, coming=False):
            return await self._demand.one_ends(within_s)
        if within_s > 0 and self._yielding.of([one.model_id for one in request.variants]):
            # It has room, and somebody else's turn begins.
            return await self._yielding.one_ends(within_s)
        if within_s <= 0 or not self._fits(request, without, coming=False, busy=True):
            return False
        if tell is not None:
            tell(for_room(request))
        return await self._one_is_idle(request, without, within_s, claim)

    async def before_evicting(self, start: Start, until: float) -> bool:
        """Wait for a stop under way on the hive, before another worker is stopped there; whether one has ended.

        Args:
            start: that was decided upon.
            until: by the loop's clock.
        """
        if not start.evict or not self._departures.on(start.hive_id):
            return False
        return await self._departures.one_ends(until - asyncio.get_running_loop().time())

    async def _one_is_idle(
        self, request: PlaceRequest, without: Collection[str], within_s: float, claim: Claim | None
    ) -> bool:
        """Wait until enough workers are idle, or for as long as there is time; False when too many wait already."""
        model_ids = tuple(one.model_id for one in request.variants)
        demands = (request.hive_id, request.device, request.capability, request.where)
        key = (model_ids, demands, request.context_length, request.slots, tuple(sorted(without)))
        look = self._looks.get(key)
        if (0 if look is None else look.waiting) >= self._max:
            return False
        if look is None:
            task = asyncio.create_task(self._until_one_is_idle(request, without), name=f"room for {model_ids[0]}")
            look = self._looks[key] = _Look(task)
        look.waiting += 1
        try:
            due_s = within_s if claim is None else min(within_s, claim.due_in())
            done, _ = await asyncio.wait([look.task], timeout=due_s)
            if claim is not None and not done and due_s < within_s:
                claim.take(self._busy(request, without))
                await asyncio.wait([look.task], timeout=within_s - due_s)
        finally:
            look.waiting -= 1
            if look.task.done() or not look.waiting:
                look.task.cancel()
                if self._looks.get(key) is look:
                    del self._looks[key]
        return True

    async def _until_one_is_idle(self, request: PlaceRequest, without: Collection[str]) -> None:
        loop = asyncio.get_running_loop()
        model_ids = [one.model_id for one in request.variants]
        pause_s = _LOOK_S
        while True:
            await asyncio.sleep(pause_s)
            began = loop.time()
            if self._departures.any or self._demand.comes(model_ids, request.hive_id) or self._fits(request, without):
                return
            pause_s = max(_LOOK_S, _REST * (loop.time() - began))

    def _fits(
        self, request: PlaceRequest, without: Collection[str], *, coming: bool = True, busy: bool = False
    ) -> bool:
        """Whether a worker could be started; see `Views.hives`."""
        return self._start(request, without, coming=coming, busy=busy) is not None

    def _busy(self, request: PlaceRequest, without: Collection[str]) -> Collection[str]:
        """Workers that would make room once they are idle."""
        start = self._start(request, without, coming=False, busy=True)
        return () if start is None else start.evict

    def _start(self, request: PlaceRequest, without: Collection[str], *, coming: bool, busy: bool) -> Start | None:
        hives = self._views.hives(request.variants, coming=coming, busy=busy)
        there = [one for one in hives if one.hive_id not in without]
        found = place(request, (), lambda: there, _ANY)
        return found if isinstance(found, Start) else None
