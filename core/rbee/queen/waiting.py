"""Requests that wait for a slot: first come, first served, a queue a model."""

from __future__ import annotations

import asyncio
from collections import deque

from rbee.contract.errors import AllSlotsBusyError, QueueFullError


class WaitingRoom:
    """Queues by model.

    Who was called stays in the queue until he looks, and nobody else is called before: he takes what there is and
    calls the next, so that nobody overtakes him.

    Args:
        max_waiting: requests that may wait for one model.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max = max_waiting
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}

    def depth(self, model_id: str) -> int:
        """Requests that wait for a model."""
        return len(self._queues.get(model_id, ()))

    async def wait(self, model_id: str, deadline: float, *, first: bool = False) -> None:
        """Wait until something has changed for the model and it is our turn to look.

        Args:
            model_id: the model.
            deadline: of the event loop's clock.
            first: take the head of the queue, for one who was called and found nothing.

        Raises:
            QueueFullError: too many wait already.
            AllSlotsBusyError: the deadline passed.
        """
        queue = self._queues.setdefault(model_id, deque())
        if len(queue) >= self._max and not first:
            raise QueueFullError(
                f"{len(queue)} requests wait for {model_id!r} already (queen.max_waiting); try again later.",
                retry_after_s=10,
            )
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[None] = loop.create_future()
        if first:
            queue.appendleft(mine)
        else:
            queue.append(mine)
        called = False
        try:
            async with asyncio.timeout_at(deadline):
                await mine
            called = True
        except TimeoutError as error:
            raise AllSlotsBusyError(f"No slot for {model_id!r} became free in time; try again later.") from error
        finally:
            if mine in queue:
                queue.remove(mine)
            if not queue and self._queues.get(model_id) is queue:
                del self._queues[model_id]
            if not called and mine.done() and not mine.cancelled():
                # Called and gone in the same moment: it is the next one's turn.
                self.wake(model_id)

    def wake(self, model_id: str) -> None:
        """Something has changed for a model: its first in the queue looks."""
        for first in self._queues.get(model_id, ()):
            if first.cancelled():
                continue
            if not first.done():
                first.set_result(None)
            return

    def wake_all(self) -> None:
        """Something has changed for any model."""
        for model_id in list(self._queues):
            self.wake(model_id)
