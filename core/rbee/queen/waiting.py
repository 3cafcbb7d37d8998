"""Requests that wait for a slot: a queue for each set of models and each wish, a fair share in it for each key."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

from rbee.contract.errors import AllSlotsBusyError, QueueFullError
from rbee.gateway import Queued
from rbee.queen.fairness import FairClock, Flow, Ticket
from rbee.queen.pace import Pace
from rbee.scheduler import Wish

_ANY = Wish()
_NOBODY = Flow()
_TELL_S = 1.0
"""Between two words to those who wait of how their places have changed."""

_RETRY_S = 10
_LONGEST_RETRY_S = 600

_MOST_PACES = 256
"""Models of which it is remembered how quickly requests for them are served."""

_Key = tuple[tuple[str, ...], Wish]


class Called(NamedTuple):
    """A place in the room, of one who was called.

    Attributes:
        key: of his queue.
        ticket: his in it.
        turn: his queue's among the others.
        since: when he came, by the event loop's clock.
    """

    key: _Key
    ticket: Ticket
    turn: int
    since: float


class _Place:
    """One who waits.

    Attributes:
        ticket: his place in his queue.
        called: done when it is his turn to look.
        since: when he came, by the event loop's clock.
    """

    def __init__(self, ticket: Ticket, called: asyncio.Future[None], told: Callable[[Queued], None] | None) -> None:
        self.ticket = ticket
        self.called = called
        self._told = told
        self._position = 0
        self.since = asyncio.get_running_loop().time()

    def tell(self, place: Queued) -> None:
        if self._told is not None and place.position != self._position:
            self._position = place.position
            self._told(place)


class _Queue:
    """Those who want the same.

    Attributes:
        places: in the order in which they are served.
        clock: gives them tickets.
        pace: how quickly they are served.
        turn: the lower one is served first among queues that the same worker would serve.
        told_at: when they were last told their places.
    """

    def __init__(self, pace: Pace, turn: int, clock: FairClock) -> None:
        self.places: list[_Place] = []
        self.clock = clock
        self.pace = pace
        self.turn = turn
        self.told_at = 0.0

    def enter(self, place: _Place) -> None:
        self.places.insert(bisect_left([one.ticket for one in self.places], place.ticket), place)

    def head(self) -> _Place | None:
        return next((place for place in self.places if not place.called.cancelled()), None)


class WaitingRoom:
    """Queues by what will do: the models, any of several variants of one, and what is asked of their workers.

    So those in one queue can be served by the same workers, and when the first of them looks in vain, the others would
    too.  Word of a model calls the first of each queue for which it would do; among the queues in turn, so that none is
    behind all that stands in another.  Who was called stays in the queue until he looks, and nobody behind him is
    called before.

    Args:
        max_waiting: requests that may wait for one model.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max = max_waiting
        self._queues: dict[_Key, _Queue] = {}
        self._by_model: dict[str, dict[_Key, None]] = {}
        self._turns = count()
        self._paces: dict[tuple[str, ...], Pace] = {}
        self._latest = 0.0
        """Virtual time that no ticket of a closed queue is beyond: whoever was called from it comes back before those
        who are new."""

    def depth(self, models: tuple[str, ...]) -> int:
        """Requests that wait for anything that would do for these models, too."""
        return sum(len(queue.places) for queue in self._beside(models))

    @property
    def empty(self) -> bool:
        """Nobody waits."""
        return not self._queues

    def waiting(self) -> dict[str, int]:
        """Requests that wait, by the canonical name of the variant that each would have first."""
        found: dict[str, int] = {}
        for (models, _), queue in self._queues.items():
            found[models[0]] = found.get(models[0], 0) + len(queue.places)
        return found

    def outlasting(self, seconds: float) -> list[_Key]:
        """Models and wishes for which somebody has waited for that long."""
        now = asyncio.get_running_loop().time()
        return [
            key for key, queue in self._queues.items() if any(now - place.since >= seconds for place in queue.places)
        ]

    def earlier(self, model_id: str, turn: Called | None) -> Iterator[Wish]:
        """What those ask of a worker for whom a model would do and who come before one who was called; all for None."""
        for key in self._by_model.get(model_id, ()):
            queue = self._queues[key]
            if queue.head() is not None and (turn is None or queue.turn < turn.turn):
                yield key[1]

    async def wait(
        self,
        models: tuple[str, ...],
        deadline: float,
        *,
        wish: Wish = _ANY,
        turn: Called | None = None,
        flow: Flow = _NOBODY,
        cost: float = 1.0,
        told: Callable[[Queued], None] | None = None,
    ) -> Called:
        """Wait until something has changed for the models and it is our turn to look.

        Args:
            models: canonical names of all that will do, best first.
            deadline: of the event loop's clock.
            wish: what is asked of a worker besides.
            turn: of one who was called and found nothing: he keeps his place.
            flow: with whom the slots are shared.
            cost: of the request, in tokens, roughly.
            told: given the place in the queue, at once and now and then when it has changed.

        Raises:
            QueueFullError: too many wait already.
            AllSlotsBusyError: the deadline passed.
        """
        key = (models, wish)
        if turn is None:
            self._check_room(models)
        loop = asyncio.get_running_loop()
        queue = self._queues.get(key) or self._open(key)
        ticket = queue.clock.ticket(flow, cost) if turn is None else turn.ticket
        if turn is not None:
            queue.turn = min(queue.turn, turn.turn)
        mine = _Place(ticket, loop.create_future(), told)
        if turn is not None:
            mine.since = turn.since
        queue.enter(mine)
        if told is not None and turn is None:
            mine.tell(self._place(key, queue, queue.places.index(mine)))
        called = False
        try:
            async with asyncio.timeout_at(deadline):
                await mine.called
            called = True
        except TimeoutError as error:
            raise AllSlotsBusyError(
                f"No slot for {models[0]!r} became free in time; try again later.", retry_after_s=self._retry_s(models)
            ) from error
        finally:
            if mine in queue.places:
                queue.places.remove(mine)
            if not called:
                queue.clock.left(ticket)
            if not queue.places and self._queues.get(key) is queue:
                self._close(key)
            if not called and mine.called.done() and not mine.called.cancelled():
                # Called and gone in the same moment: it is the next one's turn.
                for model_id in models:
                    self.wake(model_id)
        return Called(key, ticket, queue.turn, mine.since)

    def served(self, called: Called) -> None:
        """One who was called has got what he waited for."""
        queue = self._queues.get(called.key)
        if queue is not None:
            queue.clock.called(called.ticket)
            queue.pace.served(asyncio.get_running_loop().time())
            # The next one of this queue comes after the first ones of the others.
            queue.turn = next(self._turns)

    def left(self, called: Called) -> None:
        """One who was called goes without what he waited for; harmless when he has it."""
        queue = self._queues.get(called.key)
        if queue is not None:
            queue.clock.left(called.ticket)

    def wake(self, model_id: str) -> None:
        """Something has changed for a model: the first of those for whom it would do look."""
        keys = self._by_model.get(model_id)
        if keys is None:
            return
        found = [(queue.turn, head) for key in keys if (head := (queue := self._queues[key]).head()) is not None]
        for _, head in sorted(found, key=lambda one: one[0]) if len(found) > 1 else found:
            if not head.called.done():
                head.called.set_result(None)
        for key in keys:
            self._tell(key, self._queues[key])

    def wake_all(self) -> None:
        """Something has changed for any model."""
        for model_id in list(self._by_model):
            self.wake(model_id)

    def _check_room(self, models: tuple[str, ...]) -> None:
        waiting = sum(len(self._queues[key].places) for key in self._by_model.get(models[0], ()) if key[0] == models)
        if waiting >= self._max:
            raise QueueFullError(
                f"{waiting} requests wait for {models[0]!r} already (queen.max_waiting); try again later.",
                retry_after_s=self._retry_s(models),
            )

    def _retry_s(self, models: tuple[str, ...]) -> int:
        """Seconds after which those who wait now will have been served, as far as can be told."""
        pace = self._paces.get(models)
        expected = None if pace is None else pace.expected_s(self.depth(models))
        return _RETRY_S if expected is None else max(1, min(_LONGEST_RETRY_S, round(expected)))

    def _tell(self, key: _Key, queue: _Queue) -> None:
        """Tell those who wait where they are by now, not more often than is of use."""
        now = asyncio.get_running_loop().time()
        if now - queue.told_at < _TELL_S:
            return
        queue.told_at = now
        for index, place in enumerate(queue.places):
            if not place.called.done():
                place.tell(self._place(key, queue, index))

    def _place(self, key: _Key, queue: _Queue, index: int) -> Queued:
        before = index
        for other in self._beside(key[0]):
            if other is not queue:
                before += min(len(other.places), index + (other.turn < queue.turn))
        return Queued(before + 1, queue.pace.expected_s(before + 1))

    def _beside(self, models: tuple[str, ...]) -> list[_Queue]:
        """Queues for anything that would do for these models, too."""
        keys = {key for model_id in models for key in self._by_model.get(model_id, ())}
        return [self._queues[key] for key in keys]

    def _open(self, key: _Key) -> _Queue:
        for model_id in key[0]:
            self._by_model.setdefault(model_id, {})[key] = None
        pace = self._paces.pop(key[0], None) or Pace()
        # The newest last, so that the oldest are forgotten.
        self._paces[key[0]] = pace
        if len(self._paces) > _MOST_PACES:
            del self._paces[next(iter(self._paces))]
        queue = self._queues[key] = _Queue(pace, next(self._turns), FairClock(self._latest))
        return queue

    def _close(self, key: _Key) -> None:
        queue = self._queues.pop(key)
        queue.pace.paused()
        self._latest = max(self._latest, queue.clock.latest)
        for model_id in key[0]:
            keys = self._by_model[model_id]
            keys.pop(key, None)
            if not keys:
                del self._by_model[model_id]
