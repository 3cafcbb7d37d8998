"""Threads for vendors: few, apart from the loop's own, and never in the way of the program's end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_AT_ONCE = 2


class FetchThreads:
    """Runs blocking work, a few pieces at a time; the others wait for their turn.

    No executor of the library: the interpreter waits at its end for the threads of those, and a vendor may hang.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def run(self, work: Callable[[], T], name: str) -> T:
        """What `work` returns or raises.  Cancelled, this returns at once and the thread goes on alone."""
        async with self._free:
            loop = asyncio.get_running_loop()
            done: asyncio.Future[T] = loop.create_future()

            def result(value: T) -> None:
                if not done.done():
                    done.set_result(value)

            def failure(error: BaseException) -> None:
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
