"""A thread of one's own for code that may hang: a driver's, an engine's."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class OneThread:
    """Calls functions in one thread, in order.

    The interpreter waits for the threads of a pool when it leaves; this one it does not wait for, so that what hangs in
    it keeps no program alive.

    Args:
        name: of the thread, which is started by the first call.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """The function's result.  Cancelled while the call waits for its turn, it is not made."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*arguments)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._calls.put(run)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let the thread end after what it was given; it is not waited for.  Call nothing afterwards."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            # The loop that waits for it may have closed meanwhile.
            with contextlib.suppress(RuntimeError):
                call()
