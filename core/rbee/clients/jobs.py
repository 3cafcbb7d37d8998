"""Jobs of a queen or a hive."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from rbee.clients.transport import Transport
from rbee.contract.errors import CancelledByCallerError, RbeeError, UnreachableError, error_types
from rbee.contract.wire import JobAccepted, JobEvent

_ENDS = ("[DONE]", "[ERROR]", "[CANCELLED]")


class JobsClient:
    """Submit, watch and cancel jobs; the same routes at queen and hive."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def submit(self, operation: str, **fields: Any) -> str:
        """Start a job; returns its id.  Fields that are None are left out."""
        body = {"operation": operation, **{name: value for name, value in fields.items() if value is not None}}
        return (await self._transport.call("POST", "/v1/jobs", JobAccepted, body=body)).job_id

    async def events(self, job_id: str, after: int = 0) -> AsyncGenerator[JobEvent]:
        """The job's events up to and without the end of stream.

        Raises:
            UnreachableError: the line broke before the job's end, or said what is no event.
        """
        headers = {"last-event-id": str(after)} if after else {}
        path = f"/v1/jobs/{job_id}/stream"
        async with self._transport.stream("GET", path, headers=headers) as events:
            async for event in events:
                if event.data.startswith(_ENDS):
                    return
                yield self._transport.decode(event.data, JobEvent, f"GET {path}")
        raise UnreachableError(f"{self._transport.name} closed the stream of job {job_id!r} before its end.")

    async def cancel(self, job_id: str) -> None:
        """Ask the job to end; harmless when it has."""
        await self._transport.call("DELETE", f"/v1/jobs/{job_id}", type(None))


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
