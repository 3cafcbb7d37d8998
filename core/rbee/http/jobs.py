"""The routes of jobs, the same at queen and hive."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator
from types import MappingProxyType
from typing import Annotated, Any, Protocol, runtime_checkable

import msgspec
from litestar import Request, delete, get, post
from litestar.params import Parameter, QueryParameter
from litestar.response import Stream

from rbee.contract.errors import InvalidRequestError
from rbee.contract.wire import JobAccepted, JobDetail, JobSummary
from rbee.http.app import event_stream
from rbee.http.sse import MEDIA_TYPE
from rbee.http.sse import encode as sse
from rbee.jobs import JobRunner

_LONGEST_ID = 18
_KEY = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_STATES = MappingProxyType(
    {
        **{state: (state,) for state in ("queued", "running", "completed", "failed", "cancelled")},
        "unfinished": ("queued", "running"),
        "finished": ("completed", "failed", "cancelled"),
    }
)


@runtime_checkable
class HasJobs(Protocol):
    """A service with jobs."""

    @property
    def jobs(self) -> JobRunner:
        """Its runner."""


@post("/v1/jobs", status_code=202)
async def submit(service: HasJobs, data: dict[str, Any], request: Request[Any, Any, Any]) -> JobAccepted:
    """Start a job; ``Idempotency-Key`` makes it safe to ask again."""
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequestError(
            f"Idempotency-Key must be 1 to 128 letters, digits, '.', '_', ':' and '-', not {key[:40]!r}.",
            param="idempotency-key",
        )
    job_id = await service.jobs.submit(data, request.scope["state"].get("request_id"), key)
    return JobAccepted(job_id=job_id, sse_url=f"/v1/jobs/{job_id}/stream")


@get("/v1/jobs")
async def job_list(
    service: HasJobs,
    wanted: Annotated[str | None, QueryParameter(name="state")] = None,
    limit: Annotated[int, Parameter(ge=1, le=1000)] = 100,
) -> dict[str, list[JobSummary]]:
    """The newest jobs."""
    if wanted is not None and wanted not in _STATES:
        raise InvalidRequestError(f"There is no state {wanted[:40]!r}. States: {', '.join(_STATES)}.", param="state")
    return {"jobs": await service.jobs.list(limit, _STATES[wanted] if wanted else ())}


@get("/v1/jobs/{job_id:str}")
async def job(service: HasJobs, job_id: str) -> JobDetail:
    """One job: what was asked, how far it is, how it ended."""
    return await service.jobs.get(job_id)


@get("/v1/jobs/{job_id:str}/stream", media_type=MEDIA_TYPE)
async def stream(service: HasJobs, job_id: str, request: Request[Any, Any, Any]) -> Stream:
    """A job's events, from the beginning or after ``Last-Event-ID``, to its end."""
    last = request.headers.get("last-event-id", "0")
    if not (last.isascii() and last.isdecimal()) or len(last) > _LONGEST_ID:
        raise InvalidRequestError(
            f"Last-Event-ID must be a number of an event, not {last[:40]!r}.", param="last-event-id"
        )
    await service.jobs.check(job_id)

    async def body() -> AsyncGenerator[bytes]:
        ending = None
        async with contextlib.aclosing(service.jobs.events(job_id, int(last))) as events:
            async for seq, event in events:
                yield sse(msgspec.json.encode(event), event_id=seq)
                if event.terminal:
                    ending = _ending(event.type, event.message)
        if ending is None:
            # Whoever comes back with the number of the last event must not hear of another end than before.
            found = await service.jobs.get(job_id)
            ending = _ending(found.state, found.error_message)
        yield sse(ending)

    return event_stream(body())


def _ending(how: str, message: str | None) -> bytes:
    """The bare last line of a stream, from a terminal event's type or a job's state."""
    if how in {"error", "failed"}:
        return b"[ERROR] " + " ".join((message or "").split()).encode()
    return b"[CANCELLED]" if how == "cancelled" else b"[DONE]"


@delete("/v1/jobs/{job_id:str}", status_code=202)
async def cancel(service: HasJobs, job_id: str) -> dict[str, bool]:
    """Ask a job to end; says whether it was still running."""
    return {"cancelling": await service.jobs.cancel(job_id)}


JOB_ROUTES = (submit, job_list, job, stream, cancel)
