"""One request under way, and how it is ended from outside."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator


class UnderWay:
    """Breaks off what a request waits for, and leaves the task that serves it alive to say so.

    Attributes:
        cancelled: somebody has ended the request.
        late: it was its deadline.
    """

    def __init__(self) -> None:
        self.cancelled = False
        self.late = False
        self._task: asyncio.Task[object] | None = None
        self._hit = False

    def cancel(self) -> None:
        """End the request; harmless when repeated."""
        if self.cancelled:
            return
        self.cancelled = True
        if self._task is not None:
            self._hit = self._task.cancel()

    def expire(self) -> None:
        """End the request because its deadline has passed."""
        self.late = not self.cancelled
        self.cancel()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """A block that `cancel` breaks off: it is then left early and quietly, and `cancelled` is set.

        A cancellation of the task by anybody else passes through.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("requests are served in tasks")
        before = task.cancelling()
        self._task = task
        try:
            yield
        except asyncio.CancelledError:
            if not self._hit or task.uncancel() > before:
                raise
        finally:
            self._task = None
