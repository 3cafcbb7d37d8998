"""Jobs as they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from rbee.contract.wire import JobDetail, JobEvent, JobSummary

if TYPE_CHECKING:
    from rbee.jobs.store import JobRow


def summary(row: JobRow) -> JobSummary:
    """A stored job as lists show it."""
    return JobSummary(**_facts(row))


def detail(row: JobRow, events: list[JobEvent]) -> JobDetail:
    """A stored job by itself.

    Args:
        row: the job.
        events: its last ones, in order.
    """
    progress, said, result = None, None, None
    for event in events:
        if event.type == "progress":
            progress = event
        elif event.type == "narration":
            said = event.human
        elif event.type == "data" and event.action == "result":
            result = event.payload
    try:
        request = msgspec.json.decode(row.request, type=dict[str, Any])
    except msgspec.DecodeError:
        # Of another version; the job is told without it.
        request = {}
    return JobDetail(**_facts(row), request=request, progress=progress, said=said, result=result)


def _facts(row: JobRow) -> dict[str, Any]:
    return {
        "job_id": row.id,
        "operation": row.operation,
        "state": row.state,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "error_code": row.error_code,
        "error_message": row.error_message,
        "correlation_id": row.correlation_id,
        "resumed": row.resumed,
    }
