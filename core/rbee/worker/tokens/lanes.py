"""Who waits for an engine, who is in it, and who shall leave it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rbee.contract.engine import TokenEvent, TokenRequest
from rbee.contract.errors import ConflictError, QueueFullError, RbeeError


class Outlet(Protocol):
    """Where the results of a request go."""

    def feed(self, event: TokenEvent) -> bool:
        """Take an event; True when no more are wanted."""

    def fail(self, error: RbeeError) -> None:
        """Take the error that ends the request."""


class Job:
    """A request with the place where its results go; compared by identity, so that ids may come again."""

    __slots__ = ("outlet", "request")

    def __init__(self, request: TokenRequest, outlet: Outlet) -> None:
        self.request = request
        self.outlet = outlet


class Lanes:
    """First come, first served; not thread-safe: the scheduler holds its lock around every call.

    Args:
        slots: requests in the engine at the same time.
        max_waiting: requests that may wait for a slot.
    """

    def __init__(self, slots: int, max_waiting: int) -> None:
        self._slots = slots
        self._max_waiting = max_waiting
        self._waiting: dict[str, Job] = {}
        self._active: dict[str, Job] = {}
        self._leaving: list[str] = []

    @property
    def active(self) -> int:
        """Requests in the engine."""
        return len(self._active)

    @property
    def waiting(self) -> int:
        """Requests that found no free slot.  One that waits only for the next step is not counted."""
        return max(0, len(self._waiting) + len(self._active) - self._slots)

    @property
    def work(self) -> bool:
        """True when the engine's thread has something to do."""
        return bool(self._active or self._waiting or self._leaving)

    def enter(self, job: Job) -> None:
        """Queue a request.

        Raises:
            ConflictError: one with this id is under way.
            QueueFullError: slots and queue are full.
        """
        request_id = job.request.request_id
        if request_id in self._waiting or request_id in self._active:
            raise ConflictError(f"A request {request_id!r} is under way; give each an id of its own.")
        if len(self._waiting) + len(self._active) >= self._slots + self._max_waiting:
            raise QueueFullError(
                f"{self._max_waiting} requests wait for this worker; try again later or add a worker.",
                details={"queue_depth": self.waiting, "slots": self._slots},
            )
        self._waiting[request_id] = job

    def leave(self, job: Job) -> None:
        """Take a request out, wherever it is; harmless when it is nowhere."""
        request_id = job.request.request_id
        if self._waiting.get(request_id) is job:
            del self._waiting[request_id]
        elif self._active.get(request_id) is job:
            del self._active[request_id]
            self._leaving.append(request_id)

    def turn(self) -> tuple[list[str], list[Job]]:
        """Ids that the engine must drop now, then requests that it must take up."""
        leaving, self._leaving = self._leaving, []
        entering: list[Job] = []
        while self._waiting and len(self._active) < self._slots:
            request_id = next(iter(self._waiting))
            job = self._active[request_id] = self._waiting.pop(request_id)
            entering.append(job)
        return leaving, entering

    def settle(self, events: Sequence[TokenEvent]) -> list[tuple[Job, TokenEvent]]:
        """The events with their requests; finished ones are taken out, unknown ones ignored."""
        found: list[tuple[Job, TokenEvent]] = []
        for event in events:
            job = self._active.get(event.request_id)
            if job is None:
                continue
            found.append((job, event))
            if event.finish is not None:
                del self._active[event.request_id]
        return found

    def refuse(self, job: Job) -> None:
        """Take out a request that the engine did not accept."""
        if self._active.get(job.request.request_id) is job:
            del self._active[job.request.request_id]

    def clear(self) -> list[Job]:
        """Take out all requests and return them."""
        jobs = [*self._active.values(), *self._waiting.values()]
        self._active.clear()
        self._waiting.clear()
        self._leaving.clear()
        return jobs
