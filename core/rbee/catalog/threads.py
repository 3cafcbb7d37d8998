"""Threads for vendors: few, apart from the loop's own, and never in the way of the program's end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

T = TypeVar("T")

_AT_ONCE = 2


class FetchThreads:
    """Runs blocking work, a few pieces at a time; the others wait for their turn.

    No executor of the library: the interpreter waits at its end for the threads of those, and a vendor may hang.

    Args:
        at_once: how many pieces.
    """

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._free = asyncio.Semaphore(at_once)

    @property
    def busy(self) -> bool:
        """Whether the next one has to wait for its turn."""
        return self._free.locked()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn, and have it; for `start`."""
        async with self._free:
            yield

    async def run(self, work: Callable[[], T], name: str) -> T:
        """What `work` returns or raises, in its turn."""
        async with self.turn():
            return await self.start(work, name)

    async def start(self, work: Callable[[], T], name: str) -> T:
        """What `work` returns or raises.  Cancelled, this returns at once and the thread goes on alone."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def result(value: T) -> None:
            if not done.done():
                done.set_result(value)

        def failure(error: BaseException) -> None:
            if isinstance(error, StopIteration):
                # No future takes it, and whoever waits would wait for ever.
                error = RuntimeError(f"{name} raised StopIteration")
            if not done.done():
                done.set_exception(error)

        def body() -> None:
            # The loop is closed when the program has ended under the work.
            with contextlib.suppress(RuntimeError):
                try:
                    value = work()
                except BaseException as error:
                    loop.call_soon_threadsafe(failure, error)
                else:
                    loop.call_soon_threadsafe(result, value)

        threading.Thread(target=body, name=name, daemon=True).start()
        return await done
