"""Jobs of the running colony, found by what a person types of an id."""

from __future__ import annotations

from datetime import datetime

from rbee.cli.format import UNKNOWN, duration
from rbee.cli.named import by_prefix
from rbee.clients.jobs import JobsClient
from rbee.contract.wire import JobSummary, utc_now

_PREFIX = "job-"
_WHOLE = 40
_LOOKED_THROUGH = 1000
LISTER = "rbee job ls"


async def find_job(jobs: JobsClient, wanted: str) -> str:
    """The id of the job that is meant; a whole one is not looked up.

    Args:
        jobs: of the queen.
        wanted: an id or its beginning, with or without ``job-``.

    Raises:
        NotFoundError: none of the newest jobs begins so.
        InvalidRequestError: several do.
    """
    known = [job.job_id for job in await jobs.list(limit=_LOOKED_THROUGH)]
    if wanted.startswith(_PREFIX) and len(wanted) == _WHOLE and wanted.replace("-", "").isalnum():
        # Older than those that are listed, perhaps: the queen says whether it is there.
        return wanted
    return by_prefix(wanted, known, "job", LISTER, implied=_PREFIX)


def took(job: JobSummary) -> str:
    """How long it ran, or has been running."""
    if job.started_at is None:
        return UNKNOWN
    end = job.finished_at or utc_now()
    return duration(max(0.0, (end - job.started_at).total_seconds()))


def ago(moment: datetime | None) -> str:
    """How long ago something was."""
    return UNKNOWN if moment is None else f"{duration(max(0.0, (utc_now() - moment).total_seconds()))} ago"
