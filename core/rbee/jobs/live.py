"""Jobs in memory: those that run, and those that ended a moment ago."""

from __future__ import annotations

import asyncio
from collections import deque

from rbee.contract.wire import JobEvent

_MOST_LINGERING = 50_000


class LiveJob:
    """A job's events so far and who waits for more.

    Args:
        base: number before that of the first event here; those up to it are in the store.
    """

    def __init__(self, base: int = 0) -> None:
        self.base = base
        self.events: list[JobEvent] = []
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def add(self, event: JobEvent) -> int:
        """Take an event; returns its number."""
        self.events.append(event)
        # Watchers hold the event they wait for, so each change gets a fresh one.
        self.changed.set()
        self.changed = asyncio.Event()
        return self.last

    @property
    def last(self) -> int:
        """Number of the last event."""
        return self.base + len(self.events)

    @property
    def ended(self) -> bool:
        """Whether the terminal event is there."""
        return bool(self.events) and self.events[-1].terminal


class LiveJobs(dict[str, LiveJob]):
    """Jobs by id; one that has ended stays for a while, so that who submitted a short one finds all of it.

    Args:
        linger_s: how long; less when very many events would be kept.
    """

    def __init__(self, linger_s: float) -> None:
        super().__init__()
        self._linger_s = linger_s
        self._lingering: deque[str] = deque()
        self._kept = 0

    def end(self, job_id: str) -> None:
        """The job has ended; forget it soon."""
        self._lingering.append(job_id)
        self._kept += len(self[job_id].events)
        asyncio.get_running_loop().call_later(self._linger_s, self._forget, job_id)
        while self._kept > _MOST_LINGERING and len(self._lingering) > 1:
            self._forget(self._lingering[0])

    def _forget(self, job_id: str) -> None:
        # Its time may come after the space it took was needed.
        if (gone := self.pop(job_id, None)) is not None:
            self._lingering.remove(job_id)
            self._kept -= len(gone.events)
