"""Room that is not there yet, and will be: starts that may fail, and workers that are being stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Container

from rbee.builtin.policies import SeedPolicy
from rbee.queen.demand import Demand
from rbee.queen.departures import Departures
from rbee.queen.views import Views
from rbee.scheduler import PlaceRequest, Start, place

_ANY = SeedPolicy()
"""Of no account: no worker is chosen among."""


class RoomSoon:
    """Waits for it, so that nobody is refused or stopped for want of what is free a moment later.

    Args:
        views: of the colony.
        demand: starts under way.
        departures: stops under way.
    """

    def __init__(self, views: Views, demand: Demand, departures: Departures) -> None:
        self._views = views
        self._demand = demand
        self._departures = departures

    async def after_refusal(self, request: PlaceRequest, without: Container[str], until: float) -> bool:
        """Wait for a stop under way, or for a start where what such hold is all that is missing; whether one has ended.

        Args:
            request: that was refused.
            without: hives on which nothing is started for it.
            until: by the loop's clock.
        """
        within_s = until - asyncio.get_running_loop().time()
        if self._departures.any:
            # A matter of a moment, and what it will free is not worth reckoning before.
            return await self._departures.one_ends(within_s)
        if not self._demand.loading:
            return False
        hives = [one for one in self._views.hives(request.variants, coming=False) if one.hive_id not in without]
        if not isinstance(place(request, (), lambda: hives, _ANY), Start):
            return False
        return await self._demand.one_ends(within_s)

    async def before_evicting(self, start: Start, until: float) -> bool:
        """Wait for a stop under way on the hive, before another worker is stopped there; whether one has ended.

        Args:
            start: that was decided upon.
            until: by the loop's clock.
        """
        if not start.evict or not self._departures.on(start.hive_id):
            return False
        return await self._departures.one_ends(until - asyncio.get_running_loop().time())
