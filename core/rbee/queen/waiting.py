"""Requests that wait for a slot: first come, first served, a queue for each set of models and each wish."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import count

from rbee.contract.errors import AllSlotsBusyError, QueueFullError
from rbee.scheduler import Wish

_ANY = Wish()

_Key = tuple[tuple[str, ...], Wish]


class _Place:
    """One who waits; a lower ticket came earlier."""

    def __init__(self, ticket: int, called: asyncio.Future[None]) -> None:
        self.ticket = ticket
        self.called = called


class WaitingRoom:
    """Queues by what will do: the models, any of several variants of one, and what is asked of their workers.

    So those in one queue can be served by the same workers, and when the first of them looks in vain, the others would
    too.  Word of a model calls the first of each queue for which it would do, who came first before others.  Who was
    called stays in the queue until he looks, and nobody behind him is called before.

    Args:
        max_waiting: requests that may wait for one model.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max = max_waiting
        self._queues: dict[_Key, deque[_Place]] = {}
        self._by_model: dict[str, dict[_Key, None]] = {}
        self._tickets = count()

    def depth(self, models: tuple[str, ...]) -> int:
        """Requests that wait for anything that would do for these models, too."""
        keys = {key for model_id in models for key in self._by_model.get(model_id, ())}
        return sum(len(self._queues[key]) for key in keys)

    @property
    def empty(self) -> bool:
        """Nobody waits."""
        return not self._queues

    def waiting(self) -> dict[str, int]:
        """Requests that wait, by the canonical name of the variant that each would have first."""
        found: dict[str, int] = {}
        for (models, _), queue in self._queues.items():
            found[models[0]] = found.get(models[0], 0) + len(queue)
        return found

    def earlier(self, model_id: str, ticket: int | None) -> Iterator[Wish]:
        """What those ask of a worker for whom a model would do and who came before a ticket; all for None."""
        for key in self._by_model.get(model_id, ()):
            head = self._head(key)
            if head is not None and (ticket is None or head.ticket < ticket):
                yield key[1]

    async def wait(
        self, models: tuple[str, ...], deadline: float, *, wish: Wish = _ANY, ticket: int | None = None
    ) -> int:
        """Wait until something has changed for the models and it is our turn to look.

        Args:
            models: canonical names of all that will do, best first.
            deadline: of the event loop's clock.
            wish: what is asked of a worker besides.
            ticket: of one who was called and found nothing: he goes before those who came later.

        Returns:
            The ticket.

        Raises:
            QueueFullError: too many wait already.
            AllSlotsBusyError: the deadline passed.
        """
        waiting = sum(len(self._queues[key]) for key in self._by_model.get(models[0], ()) if key[0] == models)
        if waiting >= self._max and ticket is None:
            raise QueueFullError(
                f"{waiting} requests wait for {models[0]!r} already (queen.max_waiting); try again later.",
                retry_after_s=10,
            )
        key = (models, wish)
        queue = self._queues.get(key) or self._open(key)
        mine = _Place(next(self._tickets) if ticket is None else ticket, asyncio.get_running_loop().create_future())
        if ticket is None:
            queue.append(mine)
        else:
            queue.insert(sum(place.ticket < ticket for place in queue), mine)
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
            if not queue and self._queues.get(key) is queue:
                self._close(key)
            if not called and mine.called.done() and not mine.called.cancelled():
                # Called and gone in the same moment: it is the next one's turn.
                for model_id in models:
                    self.wake(model_id)
        return mine.ticket

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

    def _head(self, key: _Key) -> _Place | None:
        return next((place for place in self._queues[key] if not place.called.cancelled()), None)

    def _open(self, key: _Key) -> deque[_Place]:
        for model_id in key[0]:
            self._by_model.setdefault(model_id, {})[key] = None
        queue = self._queues[key] = deque()
        return queue

    def _close(self, key: _Key) -> None:
        del self._queues[key]
        for model_id in key[0]:
            keys = self._by_model[model_id]
            keys.pop(key, None)
            if not keys:
                del self._by_model[model_id]
