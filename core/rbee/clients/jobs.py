"""Jobs of a queen or a hive."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from rbee.clients.transport import Transport, segment
from rbee.contract.errors import CancelledByCallerError, RbeeError, UnreachableError, error_types
from rbee.contract.wire import JobAccepted, JobDetail, JobEvent, JobSummary

_ENDS = ("[DONE]", "[ERROR]", "[CANCELLED]")


class JobsClient:
    """Submit, watch and cancel jobs; the same routes at queen and hive."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def submit(self, operation: str, **fields: Any) -> str:
        """Start a job; returns its id.  Fields that are None are left out."""
        return await self.submit_as(operation, fields)

    async def submit_as(
        self, operation: str, fields: Mapping[str, Any], *, correlation_id: str | None = None, key: str | None = None
    ) -> str:
        """Start a job in the name of a request.

        Args:
            operation: its name.
            fields: its body; those that are None are left out.
            correlation_id: of the request that is behind it, which the job's events then carry.
            key: with the same key again, nothing is started and the first job's id is returned.
        """
        body = {"operation": operation, **{name: value for name, value in fields.items() if value is not None}}
        named = {"x-request-id": correlation_id, "idempotency-key": key}
        headers = {name: value for name, value in named.items() if value is not None}
        return (await self._transport.call("POST", "/v1/jobs", JobAccepted, body=body, headers=headers)).job_id

    async def list(self, state: str | None = None, limit: int = 100) -> list[JobSummary]:
        """The newest jobs, newest first.

        Args:
            state: a state, ``unfinished`` or ``finished``; None for all.
            limit: 1 to 1000.
        """
        query = {"limit": str(limit), **({"state": state} if state is not None else {})}
        return (await self._transport.call("GET", "/v1/jobs", dict[str, list[JobSummary]], query=query))["jobs"]

    async def get(self, job_id: str) -> JobDetail:
        """One job: what was asked, how far it is, how it ended.

        Raises:
            NotFoundError: there is no such job.
        """
        return await self._transport.call("GET", f"/v1/jobs/{segment(job_id)}", JobDetail)

    async def events(self, job_id: str, after: int = 0) -> AsyncGenerator[JobEvent]:
        """The job's events up to and without the end of stream.

        Raises:
            UnreachableError: the line broke before the job's end, or said what is no event.
        """
        async with aclosing(self.numbered(job_id, after)) as events:
            async for _, event in events:
                yield event

    async def numbered(self, job_id: str, after: int = 0) -> AsyncGenerator[tuple[int, JobEvent]]:
        """The same, each with the number by which a broken line is taken up again.

        Raises:
            UnreachableError: as `events` does.
        """
        headers = {"last-event-id": str(after)} if after else {}
        path = f"/v1/jobs/{segment(job_id)}/stream"
        number = after
        async with self._transport.stream("GET", path, headers=headers) as events:
            async for event in events:
                if event.data.startswith(_ENDS):
                    return
                number = int(event.id) if event.id is not None and event.id.isdecimal() else number + 1
                yield number, self._transport.decode(event.data, JobEvent, f"GET {path}")
        raise UnreachableError(f"{self._transport.name} closed the stream of job {job_id!r} before its end.")

    async def cancel(self, job_id: str) -> None:
        """Ask the job to end; harmless when it has."""
        await self._transport.call("DELETE", f"/v1/jobs/{segment(job_id)}", type(None))


def raise_for(event: JobEvent) -> None:
    """Raise what a terminal event says: nothing for ``done``.

    Raises:
        CancelledByCallerError: the job was cancelled.
        RbeeError: the job failed, as the class its code stands for.
    """
    if event.type == "cancelled":
        raise CancelledByCallerError(event.message or "Cancelled.")
    if event.type == "error":
        kind = error_types().get(event.code or "", RbeeError)
        raise kind(event.message or "The job failed.", details=event.details)
