"""Who waits for an engine, who is in it, and who shall leave it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from rbee.contract.errors import ConflictError, QueueFullError, RbeeError
from rbee.contract.token_engine import TokenEvent, TokenRequest
from rbee.worker.tokens.constraints import Followed

Finish = Literal["end", "stop", "length"]
"""Why a request ended: its token was one that ends answers, the engine said so, or its tokens were used up."""


class Outlet(Protocol):
    """Where the results of a request go."""

    def feed(self, event: TokenEvent, finish: Finish | None) -> bool:
        """Take an event, the last one if `finish` is set; True when no more are wanted."""

    def fail(self, error: RbeeError) -> None:
        """Take the error that ends the request."""


class Job:
    """A request with the place where its results go; compared by identity, so that ids may come again.

    Args:
        request: for the engine.
        outlet: takes the results.
        ends: tokens that end the answer.
        group: requests of one group share what is free; None for a request that stands for itself.

    Attributes:
        entered_at: when the engine took it up, by the clock of `time.perf_counter`; None before that.
        first_at: when its first token came.
        last_at: when its newest token came.
    """

    __slots__ = ("_ends", "_tokens", "entered_at", "first_at", "group", "last_at", "outlet", "request")

    def __init__(
        self, request: TokenRequest, outlet: Outlet, *, ends: frozenset[int] = frozenset(), group: str | None = None
    ) -> None:
        self.request = request
        self.outlet = outlet
        self.group = request.request_id if group is None else group
        self._ends = ends
        self._tokens = 0
        self.entered_at: float | None = None
        self.first_at: float | None = None
        self.last_at: float | None = None

    def finish(self, event: TokenEvent) -> Finish | None:
        """Whether an event is the request's last, and why; each is to be shown once, in order."""
        if event.token is not None:
            self._tokens += 1
            self.last_at = time.perf_counter()
            if self.first_at is None:
                self.first_at = self.last_at
            if event.token in self._ends:
                return "end"
        if event.finish is not None:
            return "length" if event.finish == "length" else "stop"
        return "length" if self._tokens >= self.request.max_tokens else None

    @property
    def error(self) -> RbeeError | None:
        """Why the answer cannot go on, where it is held to a grammar."""
        constraint = self.request.constraint
        return constraint.error if isinstance(constraint, Followed) else None


class Settled(NamedTuple):
    """An event with its request; with an error, the request has ended by that."""

    job: Job
    event: TokenEvent | None = None
    finish: Finish | None = None
    error: RbeeError | None = None


class Lanes:
    """First come, first served, but for groups: of those who wait, the one whose group has the least in the engine.

    So a request for many answers does not keep all others out.  Not thread-safe: the scheduler holds its lock around
    every call.

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

    def narrow(self, slots: int) -> None:
        """The engine has fewer slots than it was asked for."""
        self._slots = min(self._slots, max(1, slots))

    @property
    def slots(self) -> int:
        """Requests in the engine at the same time."""
        return self._slots

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
            request_id = self._first()
            job = self._active[request_id] = self._waiting.pop(request_id)
            job.entered_at = time.perf_counter()
            entering.append(job)
        return leaving, entering

    def _first(self) -> str:
        """Whose turn it is."""
        active: dict[str, int] = {}
        for job in self._active.values():
            active[job.group] = active.get(job.group, 0) + 1
        return min(self._waiting, key=lambda request_id: active.get(self._waiting[request_id].group, 0))

    def settle(self, events: Sequence[TokenEvent]) -> list[Settled]:
        """The events with their requests; finished ones are taken out, unknown ones ignored.

        A request that has ended without the engine's saying so is one that the engine must drop.
        """
        found: list[Settled] = []
        for event in events:
            request_id = event.request_id
            job = self._active.get(request_id)
            if job is None:
                continue
            finish, error = job.finish(event), job.error
            found.append(Settled(job, event, finish) if error is None else Settled(job, error=error))
            if finish is not None or error is not None:
                del self._active[request_id]
                if event.finish is None:
                    self._leaving.append(request_id)
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
