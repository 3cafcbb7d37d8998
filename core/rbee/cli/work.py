"""Jobs that a command starts: told as they go, cancelled with the command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from rbee.cli.console import Talk
from rbee.clients import Transport
from rbee.clients.jobs import JobsClient, raise_for
from rbee.contract.errors import RbeeError
from rbee.contract.wire import JobEvent

_CANCEL_S = 5.0


@contextlib.asynccontextmanager
async def started(
    jobs: JobsClient, operation: str, fields: Mapping[str, Any]
) -> AsyncIterator[AsyncGenerator[JobEvent]]:
    """A job's events.  Interrupted, or with a reader of our output who has left, the job is cancelled too.

    Args:
        jobs: where.
        operation: its name.
        fields: its body; None values are left out.
    """
    asked = asyncio.ensure_future(jobs.submit_as(operation, fields))
    try:
        # Shielded: interrupted while the answer is on its way, the job's id is what is needed to cancel it.
        job_id = await asyncio.shield(asked)
        async with contextlib.aclosing(jobs.events(job_id)) as events:
            yield events
    except (asyncio.CancelledError, BrokenPipeError):
        with contextlib.suppress(RbeeError, TimeoutError):
            async with asyncio.timeout(_CANCEL_S):
                await jobs.cancel(await asked)
        raise


async def run_job(transport: Transport, operation: str, fields: Mapping[str, Any], talk: Talk) -> Any:
    """Run a job to its end; returns the payload of its result, None when it has none.

    Args:
        transport: to the queen or a hive.
        operation: its name.
        fields: its body; None values are left out.
        talk: shows what it does.

    Raises:
        RbeeError: why it failed.
    """
    result: Any = None
    try:
        async with started(JobsClient(transport), operation, fields) as events:
            async for event in events:
                if event.type == "data" and event.action == "result":
                    result = event.payload
                elif event.terminal:
                    talk.done()
                    raise_for(event)
                else:
                    talk.event(event)
    finally:
        talk.done()
    return result
