"""``rbee job show``."""

from __future__ import annotations

from datetime import datetime

import click
import msgspec

from rbee.cli.context import current
from rbee.cli.format import UNKNOWN, line, text
from rbee.cli.jobs import ago, find_job, took
from rbee.cli.queen import ask_queen
from rbee.clients import QueenClient
from rbee.contract.wire import JobDetail, JobEvent


@click.command("show")
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, job: str, as_json: bool) -> None:
    """Show one job: what was asked, how far it is, how it ended.

    As much of its id as leaves no doubt is enough.
    """

    async def ask(queen: QueenClient) -> JobDetail:
        return await queen.jobs.get(await find_job(queen.jobs, job))

    found = ask_queen(current(), ask)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    error = UNKNOWN if found.error_code is None else f"{found.error_code}: {found.error_message}"
    facts = {
        "job": found.job_id,
        "operation": found.operation,
        "state": found.state,
        "taken": _when(found.created_at),
        "began": _when(found.started_at),
        "ended": _when(found.finished_at),
        "took": took(found),
        "said": text(found.said),
        "progress": _progress(found.progress),
        "error": error,
        "resumed": str(found.resumed),
        "correlation": text(found.correlation_id),
        "request": msgspec.json.encode(found.request).decode(),
        "result": UNKNOWN if found.result is None else msgspec.json.encode(found.result).decode(),
    }
    for key, value in facts.items():
        click.echo(f"{key:<11} {line(value)}")


def _when(moment: datetime | None) -> str:
    return UNKNOWN if moment is None else f"{moment.isoformat(timespec='seconds')} ({ago(moment)})"


def _progress(event: JobEvent | None) -> str:
    if event is None:
        return UNKNOWN
    return f"{text(event.done)} of {text(event.total)} {event.unit or ''}".rstrip()
