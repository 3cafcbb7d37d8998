"""Jobs and their events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec


class JobEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of a job's stream; which fields are set depends on `type`.

    Attributes:
        type: ``narration``, ``progress``, ``data``, ``error``, ``cancelled`` or ``done``; the last three end a job.
        job_id: the job.
        emitted_at_ms: Unix time in milliseconds.
        correlation_id: of the request that started the job.
        actor: program that speaks, for narration.
        action: what it does.
        target: to what.
        human: the sentence for a person.
        formatted: the same with actor and action in columns.
        done: for progress, units done.
        total: units in all, None when unknown.
        unit: ``bytes``, by custom.
        rate: units a second.
        eta_s: seconds left.
        item: for progress over several files, the number of the one that is under way, from 1.
        items: how many there are.
        payload: for data, any JSON.
        code: for error, an error code.
        message: for error, the sentence for a person.
        details: for error, further facts.
    """

    type: Literal["narration", "progress", "data", "error", "cancelled", "done"]
    job_id: str
    emitted_at_ms: int
    correlation_id: str | None = None
    actor: str | None = None
    action: str | None = None
    target: str | None = None
    human: str | None = None
    formatted: str | None = None
    done: int | None = None
    total: int | None = None
    unit: str | None = None
    rate: float | None = None
    eta_s: float | None = None
    item: int | None = None
    items: int | None = None
    payload: Any = None
    code: str | None = None
    message: str | None = None
    details: dict[str, Any] | None = None

    @property
    def terminal(self) -> bool:
        """True for the one event that ends a job."""
        return self.type in {"error", "cancelled", "done"}


class JobAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``POST /v1/jobs``."""

    job_id: str
    sse_url: str


class JobSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A job as lists show it.

    Attributes:
        job_id: its id.
        operation: what it does.
        state: ``queued``, ``running``, ``completed``, ``failed`` or ``cancelled``.
        created_at: when it was taken.
        started_at: when it began; None while it is queued.
        finished_at: when it ended; None before.
        error_code: why it failed.
        error_message: the same for a person.
        correlation_id: of the request that started it.
        resumed: how often it was begun again after a restart of the program.
    """

    job_id: str
    operation: str
    state: str
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    correlation_id: str | None = None
    resumed: int = 0


class JobDetail(JobSummary, frozen=True, kw_only=True):
    """One job by itself.

    Attributes:
        request: its body, without prompts and messages.
        progress: its last ``progress`` event; None when there was none.
        said: its last sentence; None when there was none.
        result: payload of its result; None when it has none (yet).
    """

    request: dict[str, Any] = {}
    progress: JobEvent | None = None
    said: str | None = None
    result: Any = None
