"""The routes of jobs, the same at queen and hive."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Protocol, runtime_checkable

import msgspec
from litestar import Request, delete, get, post
from litestar.response import Stream

from rbee.contract.errors import InvalidRequestError
from rbee.contract.wire import JobAccepted
from rbee.http.app import event_stream
from rbee.http.sse import encode as sse
from rbee.jobs import JobRunner, JobSummary

_LONGEST_ID = 18


@runtime_checkable
class HasJobs(Protocol):
    """A service with jobs."""

    @property
    def jobs(self) -> JobRunner:
        """Its runner."""


@post("/v1/jobs", status_code=202)
async def submit(service: HasJobs, data: dict[str, Any], request: Request[Any, Any, Any]) -> JobAccepted:
    """Start a job."""
    job_id = await service.jobs.submit(data, request.scope["state"].get("request_id"))
    return JobAccepted(job_id=job_id, sse_url=f"/v1/jobs/{job_id}/stream")


@get("/v1/jobs")
async def job_list(service: HasJobs) -> dict[str, list[JobSummary]]:
    """The newest jobs."""
    return {"jobs": await service.jobs.list()}


@get("/v1/jobs/{job_id:str}/stream")
async def stream(service: HasJobs, job_id: str, request: Request[Any, Any, Any]) -> Stream:
    """A job's events, from the beginning or after ``Last-Event-ID``, to its end."""
    last = request.headers.get("last-event-id", "0")
    if not (last.isascii() and last.isdecimal()) or len(last) > _LONGEST_ID:
        raise InvalidRequestError(
            f"Last-Event-ID must be a number of an event, not {last[:40]!r}.", param="last-event-id"
        )
    await service.jobs.check(job_id)

    async def body() -> AsyncGenerator[bytes]:
        ending = b"[DONE]"
        async with contextlib.aclosing(service.jobs.events(job_id, int(last))) as events:
            async for seq, event in events:
                yield sse(msgspec.json.encode(event), event_id=seq)
                if event.type == "error":
                    ending = b"[ERROR] " + " ".join((event.message or "").split()).encode()
                elif event.type == "cancelled":
                    ending = b"[CANCELLED]"
        yield sse(ending)

    return event_stream(body())


@delete("/v1/jobs/{job_id:str}", status_code=202)
async def cancel(service: HasJobs, job_id: str) -> dict[str, bool]:
    """Ask a job to end; says whether it was still running."""
    return {"cancelling": await service.jobs.cancel(job_id)}


JOB_ROUTES = (submit, job_list, stream, cancel)
