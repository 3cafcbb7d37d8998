"""Answers that cost something: each asked for once at a time, and remembered for a while."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from rbee.contract.errors import NotFoundError, RbeeError

log = logging.getLogger(__name__)

_MOST = 10_000
_MOST_FAILED = 1000

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Answers(Generic[K, T]):
    """Asks once for all who want the same, and goes on asking when they have left.

    Args:
        ask: brings an answer; sees itself to it that it ends.
        clock: seconds that never go back.
        fresh_s: how long an answer is given without asking again.
        stale_s: how much longer it is given while it is asked for anew.  An answer that cannot be renewed stays until
            then, unless the thing itself is gone.
        failed_s: how long a failure is told without asking again.
        most: answers that are remembered.
    """

    def __init__(
        self,
        ask: Callable[[K], Awaitable[T]],
        clock: Callable[[], float],
        *,
        fresh_s: float,
        failed_s: float,
        stale_s: float = 0.0,
        most: int = _MOST,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._fresh_s, self._stale_s, self._failed_s = fresh_s, stale_s, failed_s
        self._most = most
        self._found: dict[K, tuple[T, float]] = {}
        self._failed: dict[K, tuple[RbeeError, float]] = {}
        self._asking: dict[K, asyncio.Task[T]] = {}

    async def get(self, key: K) -> T:
        """The answer.

        Raises:
            RbeeError: as `ask` raised, now or a short time ago.
        """
        now = self._clock()
        found = self._found.get(key)
        if found is not None and now < found[1] + self._fresh_s:
            return found[0]
        usable = found is not None and now < found[1] + self._fresh_s + self._stale_s
        failed = self._failed.get(key)
        if failed is None or now >= failed[1]:
            task = self._asking.get(key) or self._start(key)
            if found is None or not usable:
                return await asyncio.shield(task)
        elif found is None or not usable:
            # Without where it was raised before: that would grow with everybody who is told.
            raise failed[0].with_traceback(None)
        return found[0]

    async def close(self) -> None:
        """Ask nobody any more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._asking.clear()

    def _start(self, key: K) -> asyncio.Task[T]:
        task = self._asking[key] = asyncio.create_task(self._asked(key), name="answer")
        task.add_done_callback(_consume)
        return task

    async def _asked(self, key: K) -> T:
        try:
            answer = await self._ask(key)
        except RbeeError as error:
            if isinstance(error, NotFoundError):
                self._found.pop(key, None)
            _remember(self._failed, key, (error, self._clock() + self._failed_s), _MOST_FAILED)
            raise
        finally:
            self._asking.pop(key, None)
        self._failed.pop(key, None)
        _remember(self._found, key, (answer, self._clock()), self._most)
        return answer


def _remember(known: dict[K, T], key: K, value: T, most: int) -> None:
    # The newest last, so that the oldest are forgotten.
    known.pop(key, None)
    known[key] = value
    if len(known) > most:
        del known[next(iter(known))]


def _consume(task: asyncio.Task[T]) -> None:
    """Whoever waited may have left: nobody else would fetch the exception."""
    if task.cancelled():
        return
    error = task.exception()
    if error is not None and not isinstance(error, RbeeError):
        log.error("an answer could not be brought", exc_info=error)
