"""Jobs in memory: those that run, and those that ended a moment ago."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections import deque

from rbee.contract.wire import JobEvent

_MOST_LINGERING = 50_000


class LiveJob:
    """A job's events so far and who waits for more.

    Of the progress of one thing only the newest is kept: a long download tells a hundred thousand of them, and who
    comes late wants to know how far it is.  Numbers rise by one with each event, and have gaps where one is gone.

    Args:
        base: number before that of the first event here; those up to it are in the store.
    """

    def __init__(self, base: int = 0) -> None:
        self.base = base
        self.last = base
        """Number of the last event."""
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._events: list[tuple[int, JobEvent]] = []
        self._progress: dict[object, int] = {}

    def add(self, event: JobEvent) -> int:
        """Take an event; returns its number."""
        self.last += 1
        if event.type == "progress":
            subject = progress_of(event)
            before = self._progress.get(subject)
            if before is not None:
                del self._events[bisect_left(self._events, before, key=_number)]
            self._progress[subject] = self.last
        self._events.append((self.last, event))
        # Watchers hold the event they wait for, so each change gets a fresh one.
        self.changed.set()
        self.changed = asyncio.Event()
        return self.last

    def following(self, after: int) -> tuple[int, JobEvent] | None:
        """The first event behind a number, with its own; None when there is none yet."""
        if after >= self.last:
            return None
        return self._events[bisect_right(self._events, after, key=_number)]

    @property
    def events(self) -> list[JobEvent]:
        """What is kept, in order."""
        return [event for _, event in self._events]

    @property
    def kept(self) -> int:
        """How many events are kept."""
        return len(self._events)

    @property
    def end(self) -> JobEvent | None:
        """The terminal event, once it is there."""
        newest = self._events[-1][1] if self._events else None
        return newest if newest is not None and newest.terminal else None

    @property
    def ended(self) -> bool:
        """Whether the terminal event is there."""
        return self.end is not None


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
        self._kept += self[job_id].kept
        asyncio.get_running_loop().call_later(self._linger_s, self._forget, job_id)
        while self._kept > _MOST_LINGERING and len(self._lingering) > 1:
            self._forget(self._lingering[0])

    def _forget(self, job_id: str) -> None:
        # Its time may come after the space it took was needed.
        if (gone := self.pop(job_id, None)) is not None:
            self._lingering.remove(job_id)
            self._kept -= gone.kept


def progress_of(event: JobEvent) -> tuple[str | None, ...]:
    """What a progress event is about: a later one of the same takes its place."""
    return event.actor, event.action, event.target, event.unit


def _number(one: tuple[int, JobEvent]) -> int:
    return one[0]
