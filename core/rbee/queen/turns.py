"""One request's place among those that wait for a slot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rbee.gateway import NO_TRAITS, Queued, Traits
from rbee.queen.fairness import cost_of, flow_of
from rbee.queen.waiting import Called, WaitingRoom
from rbee.scheduler import Candidate, Wish, suits


class Turn:
    """Whoever is before goes first, also when a slot becomes free this instant.

    Earlier ones who would not take a worker, because they want another variant or another machine, keep nobody from it.
    Whoever was called and goes, with a slot or without, calls the next.

    Args:
        room: where the others wait.
        model_ids: canonical names of all that will do.
        wish: what is asked of a worker besides.
        patience_s: how long to wait in all.
        traits: of the request: whose share it takes, and how much of it.
        told: given the place in the queue.
    """

    def __init__(
        self,
        room: WaitingRoom,
        model_ids: tuple[str, ...],
        wish: Wish,
        patience_s: float,
        traits: Traits = NO_TRAITS,
        told: Callable[[Queued], None] | None = None,
    ) -> None:
        self._room = room
        self._model_ids = model_ids
        self._wish = wish
        self._patience_s = patience_s
        self._deadline: float | None = None
        self._traits = traits
        self._told = told
        self._place: Called | None = None
        self._called = False

    def mine(self, model_id: str, worker: Candidate) -> bool:
        """Whether a free slot may be taken now.

        Args:
            model_id: canonical name of the worker's model.
            worker: that has the slot.
        """
        return not any(suits(wish, worker) for wish in self._room.earlier(model_id, self._place))

    async def wait(self) -> None:
        """Wait to be called; raises as `WaitingRoom.wait`."""
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._patience_s
        self._called = False
        # He who was called and found nothing keeps his place.
        self._place = await self._room.wait(
            self._model_ids,
            self._deadline,
            wish=self._wish,
            turn=self._place,
            flow=flow_of(self._traits),
            cost=cost_of(self._traits),
            told=self._told,
        )
        self._called = True

    def served(self) -> None:
        """The slot was taken."""
        if self._place is not None:
            self._room.served(self._place)

    def pass_on(self) -> None:
        """Call the next, if this one was called."""
        if self._called and self._place is not None:
            self._room.left(self._place)
            for model_id in self._model_ids:
                self._room.wake(model_id)
