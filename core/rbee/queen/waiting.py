"""Requests that wait for a slot: first come, first served, a queue for each set of models that will do."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import count

from rbee.contract.errors import AllSlotsBusyError, QueueFullError

_CALLED = -1


class _Place:
    """One who waits; a lower ticket came earlier."""

    def __init__(self, ticket: int, called: asyncio.Future[None]) -> None:
        self.ticket = ticket
        self.called = called


class WaitingRoom:
    """Queues by what will do: one model, or any of several variants of one.

    Who was called stays in the queue until he looks, and nobody else is called before: he takes what there is and
    calls the next, so that nobody overtakes him.  Word of a model calls the first of each queue for which it would do,
    who came first before others.

    Args:
        max_waiting: requests that may wait for one model.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max = max_waiting
        self._queues: dict[tuple[str, ...], deque[_Place]] = {}
        self._by_model: dict[str, dict[tuple[str, ...], None]] = {}
        self._tickets = count()

    def depth(self, models: tuple[str, ...]) -> int:
        """Requests that wait for anything that would do for these models, too."""
        if not self._queues:
            return 0
        keys = {key for model_id in models for key in self._by_model.get(model_id, ())}
        return sum(len(self._queues[key]) for key in keys)

    async def wait(self, models: tuple[str, ...], deadline: float, *, first: bool = False) -> None:
        """Wait until something has changed for the models and it is our turn to look.

        Args:
            models: canonical names of all that will do, best first.
            deadline: of the event loop's clock.
            first: take the head of the queue, for one who was called and found nothing.

        Raises:
            QueueFullError: too many wait already.
            AllSlotsBusyError: the deadline passed.
        """
        waiting = len(self._queues.get(models, ()))
        if waiting >= self._max and not first:
            raise QueueFullError(
                f"{waiting} requests wait for {models[0]!r} already (queen.max_waiting); try again later.",
                retry_after_s=10,
            )
        queue = self._queues.get(models) or self._open(models)
        # Who was called already goes before anybody who was not.
        mine = _Place(_CALLED if first else next(self._tickets), asyncio.get_running_loop().create_future())
        if first:
            queue.appendleft(mine)
        else:
            queue.append(mine)
        called = False
        try:
            async with asyncio.timeout_at(deadline):
                await mine.called
            called = True
        except TimeoutError as error:
            raise AllSlotsBusyError(f"No slot for {models[0]!r} became free in time; try again later.") from error
        finally:
            if mine in queue:
                queue.remove(mine)
            if not queue and self._queues.get(models) is queue:
                self._close(models)
            if not called and mine.called.done() and not mine.called.cancelled():
                # Called and gone in the same moment: it is the next one's turn.
                for model_id in models:
                    self.wake(model_id)

    def wake(self, model_id: str) -> None:
        """Something has changed for a model: the first of those for whom it would do look."""
        keys = self._by_model.get(model_id)
        if keys is None:
            return
        heads = [head for key in keys if (head := self._head(key)) is not None]
        for head in sorted(heads, key=lambda place: place.ticket) if len(heads) > 1 else heads:
            if not head.called.done():
                head.called.set_result(None)

    def wake_all(self) -> None:
        """Something has changed for any model."""
        for model_id in list(self._by_model):
            self.wake(model_id)

    def _head(self, key: tuple[str, ...]) -> _Place | None:
        return next((place for place in self._queues[key] if not place.called.cancelled()), None)

    def _open(self, models: tuple[str, ...]) -> deque[_Place]:
        for model_id in models:
            self._by_model.setdefault(model_id, {})[models] = None
        queue = self._queues[models] = deque()
        return queue

    def _close(self, models: tuple[str, ...]) -> None:
        del self._queues[models]
        for model_id in models:
            keys = self._by_model[model_id]
            keys.pop(models, None)
            if not keys:
                del self._by_model[model_id]
