"""What becomes of the jobs that an earlier life of the program left unfinished."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from rbee.contract.wire import JobEvent
from rbee.jobs.operation import Operation

if TYPE_CHECKING:
    from rbee.jobs.later import JobStoreLater
    from rbee.jobs.store import JobRow, JobStore

STATES = MappingProxyType({"done": "completed", "error": "failed", "cancelled": "cancelled"})
"""The state of a job by its terminal event."""

MOST_RESUMED = 3
"""A job that brings the program down each time must not do so for ever."""

_GAP = 1000
"""Numbers left free after a crash: watchers may have seen events that did not reach the store any more."""


class Left(NamedTuple):
    """A job that is to be begun again.

    Attributes:
        row: the job.
        body: its request.
        base: number after which its new events are counted.
        resumed: how often this makes it.
        told: the last events of its earlier lives.
    """

    row: JobRow
    body: dict[str, Any]
    base: int
    resumed: int
    told: list[JobEvent]


async def recover(store: JobStore | JobStoreLater, operations: Mapping[str, Operation]) -> list[Left]:
    """End what cannot be resumed, with the reason; returns the others, noted as resumed, oldest first."""
    found = []
    for row in sorted(await store.unfinished(), key=lambda row: row.created_at):
        try:
            left = await _recover(store, operations.get(row.operation), row)
        except msgspec.DecodeError:
            # One job of another version must not keep the program from starting.
            message = f"Job '{row.id}' was cut off, and what is stored of it cannot be read; start it again."
            await _fail(store, row, await store.last_seq(row.id) + _GAP + 1, message)
        else:
            found += [] if left is None else [left]
    return found


async def _recover(store: JobStore | JobStoreLater, operation: Operation | None, row: JobRow) -> Left | None:
    """The job, when it is to be begun again; otherwise it is ended.

    Raises:
        msgspec.DecodeError: what is stored cannot be read.
    """
    stored = await store.last_events(row.id)
    last = stored[-1][0] if stored else 0
    events = [msgspec.json.decode(body, type=JobEvent) for _, body in stored]
    if events and events[-1].terminal:
        # It had told its end, and only its state was not written any more.
        end = events[-1]
        await store.set_state(row.id, STATES[end.type], code=end.code, message=end.message)
    elif operation is None or not operation.resumable:
        await _fail(store, row, last + 1, f"Job '{row.id}' was cut off when the program stopped; start it again.")
    elif row.resumed >= MOST_RESUMED:
        message = (
            f"Job '{row.id}' was begun again {row.resumed} times and cut off each time; it is not tried any more. "
            "The program's log may tell why it stopped."
        )
        await _fail(store, row, last + _GAP + 1, message)
    else:
        body = msgspec.json.decode(row.request, type=dict[str, Any])
        await store.note_resumed(row.id)
        return Left(row, body, last + _GAP, row.resumed + 1, events)
    return None


async def _fail(store: JobStore | JobStoreLater, row: JobRow, seq: int, message: str) -> None:
    end = JobEvent(
        type="error",
        job_id=row.id,
        correlation_id=row.correlation_id,
        emitted_at_ms=int(datetime.now(UTC).timestamp() * 1000),
        code="UNAVAILABLE",
        message=message,
    )
    await store.append([(row.id, seq, msgspec.json.encode(end))])
    await store.set_state(row.id, "failed", code="UNAVAILABLE", message=message)
