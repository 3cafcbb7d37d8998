"""Simulated requests that wait for a slot: the queen's fair share, on simulated time."""

from __future__ import annotations

import heapq

from rbee.queen.fairness import FairClock, Ticket, cost_of, flow_of
from rbee.simulation.requests import Request


class Queue:
    """Those that wait for one model, in the order in which the queen's tickets put them."""

    def __init__(self) -> None:
        self._clock = FairClock()
        self._places: list[tuple[Ticket, Request]] = []
        self._tickets: dict[int, Ticket] = {}
        """Of those that wait, by the numbers of the requests."""
        self.depth = 0

    def enter(self, request: Request) -> None:
        """One more."""
        request.waiting = request.waited = True
        ticket = self._tickets[request.number] = self._clock.ticket(flow_of(request.traits), cost_of(request.traits))
        heapq.heappush(self._places, (ticket, request))
        self.depth += 1

    def leave(self, request: Request) -> None:
        """One does not want to wait any longer."""
        request.waiting = False
        self.depth -= 1
        self._clock.left(self._tickets.pop(request.number))

    def head(self) -> Request | None:
        """Whose turn it is."""
        while self._places and not self._places[0][1].waiting:
            heapq.heappop(self._places)
        return self._places[0][1] if self._places else None

    def served(self) -> None:
        """Whose turn it was has got what he waited for."""
        ticket, request = heapq.heappop(self._places)
        self._clock.called(ticket)
        self.leave(request)
