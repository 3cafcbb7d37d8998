"""``rbee job watch``."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import click

from rbee.cli.console import can_redraw, say
from rbee.cli.context import Context, current
from rbee.cli.exits import INTERRUPTED, OK
from rbee.cli.jobs import find_job
from rbee.cli.locate import find_queen, queen_url
from rbee.cli.loop import run_async
from rbee.cli.watching import Watcher
from rbee.clients import Credentials, Transport
from rbee.clients.jobs import JobsClient, raise_for
from rbee.clients.who import QUEEN
from rbee.contract.errors import UnavailableError, UnreachableError
from rbee.contract.wire import JobDetail, JobEvent

_PATIENCE_S = 60.0
_RETRY_S = 0.5
_ENDS: Mapping[str, Literal["done", "error", "cancelled"]] = MappingProxyType(
    {"completed": "done", "failed": "error", "cancelled": "cancelled"}
)


@click.command("watch")
@click.argument("job")
@click.option("--after", type=click.IntRange(0, 10**15), default=0, metavar="N", help="Begin behind event N.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON, with its number.")
def command(*, job: str, after: int, as_json: bool) -> int:
    """Follow a job from its beginning to its end.  Exit code 0 done, 1 failed, 130 cancelled.

    As much of its id as leaves no doubt is enough.  Ctrl+C ends the watching; the job goes on.
    """
    context = current()
    url, token = queen_url(context), context.credentials()
    job_id = run_async(_find(url, token, job))
    watcher = Watcher(as_json=as_json, live=can_redraw())
    try:
        last = run_async(_Watch(context, token, job_id, watcher).follow(url, after))
    except KeyboardInterrupt:
        watcher.done()
        say(f"The job goes on: rbee job watch {job_id}")
        return INTERRUPTED
    finally:
        watcher.done()
    if last.type == "cancelled":
        say(f"Job {job_id} was cancelled.")
        return INTERRUPTED
    raise_for(last)
    return OK


class _Watch:
    """One job, over as many lines as it takes: a queen who is started again knows it still."""

    def __init__(self, context: Context, credentials: Credentials, job_id: str, watcher: Watcher) -> None:
        self._context = context
        self._credentials = credentials
        self._job_id = job_id
        self._watcher = watcher

    async def follow(self, url: str, after: int) -> JobEvent:
        """Show all events behind `after`; returns the last.

        Raises:
            UnreachableError: the queen has been away for too long.
            RbeeError: what she raises.
        """
        away_since: float | None = None
        while True:
            transport = Transport(url, self._credentials, QUEEN)
            try:
                jobs = JobsClient(transport)
                async with contextlib.aclosing(jobs.numbered(self._job_id, after)) as events:
                    async for number, event in events:
                        away_since, after = None, number
                        self._watcher.event(number, event)
                        if event.terminal:
                            return event
                # All of it stands before `after`; how it ended is still to be told.
                ended = _end_of(await jobs.get(self._job_id))
                if ended is not None:
                    return ended
            except (UnreachableError, UnavailableError):
                now = time.monotonic()
                if away_since is None:
                    away_since = now
                    self._watcher.done()
                    say("The queen is away; waiting for her.")
                elif now - away_since > _PATIENCE_S:
                    raise
            finally:
                await transport.close()
            await asyncio.sleep(_RETRY_S)
            # She may have come back at another address.
            found = await asyncio.to_thread(find_queen, self._context)
            url = found or url


def _end_of(job: JobDetail) -> JobEvent | None:
    """The last event of a job, from its record; None while it runs."""
    kind = _ENDS.get(job.state)
    if kind is None:
        return None
    at = int(job.finished_at.timestamp() * 1000) if job.finished_at is not None else 0
    return JobEvent(type=kind, job_id=job.job_id, emitted_at_ms=at, code=job.error_code, message=job.error_message)


async def _find(url: str, credentials: Credentials, job: str) -> str:
    transport = Transport(url, credentials, QUEEN)
    try:
        return await find_job(JobsClient(transport), job)
    finally:
        await transport.close()
