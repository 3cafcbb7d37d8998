"""``rbee job cancel``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.jobs import find_job
from rbee.cli.queen import ask_queen
from rbee.clients import QueenClient
from rbee.contract.wire import JobDetail


@click.command("cancel")
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, job: str, as_json: bool) -> None:
    """Ask a job to end; harmless when it has ended.

    As much of its id as leaves no doubt is enough.
    """

    async def ask(queen: QueenClient) -> JobDetail:
        found = await queen.jobs.get(await find_job(queen.jobs, job))
        await queen.jobs.cancel(found.job_id)
        return found

    found = ask_queen(current(), ask)
    cancelling = found.finished_at is None
    if as_json:
        click.echo(msgspec.json.encode({"job_id": found.job_id, "cancelling": cancelling}).decode())
        return
    say(f"Job {found.job_id} is asked to end." if cancelling else f"Job {found.job_id} had ended: {found.state}.")
