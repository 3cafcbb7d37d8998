"""One request's place among those that wait for a slot."""

from __future__ import annotations

import asyncio

from rbee.queen.waiting import WaitingRoom


class Turn:
    """Whoever came earlier goes first, also when a slot becomes free this instant.

    Whoever was called and does not take a slot, for whatever reason, calls the next.

    Args:
        room: where the others wait.
        model_ids: canonical names of all that will do.
        patience_s: how long to wait in all.
    """

    def __init__(self, room: WaitingRoom, model_ids: tuple[str, ...], patience_s: float) -> None:
        self._room = room
        self._model_ids = model_ids
        self._patience_s = patience_s
        self._deadline: float | None = None
        self._called = False

    def mine(self) -> bool:
        """Whether a free slot may be taken now."""
        return self._called or self._room.depth(self._model_ids) == 0

    async def wait(self) -> None:
        """Wait to be called; raises as `WaitingRoom.wait`."""
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._patience_s
        first, self._called = self._called, False
        await self._room.wait(self._model_ids, self._deadline, first=first)
        self._called = True

    def pass_on(self) -> None:
        """Call the next, if this one was called."""
        if self._called:
            for model_id in self._model_ids:
                self._room.wake(model_id)
