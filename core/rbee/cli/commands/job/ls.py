"""``rbee job ls``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.console import say, table_console
from rbee.cli.context import current
from rbee.cli.format import printable
from rbee.cli.jobs import ago, took
from rbee.cli.queen import ask_queen

_STATES = ("queued", "running", "completed", "failed", "cancelled", "unfinished", "finished")


@click.command("ls")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, metavar="N", help="At most N.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, state: str | None, limit: int, as_json: bool) -> None:
    """List the queen's jobs, the newest first."""
    jobs = ask_queen(current(), lambda queen: queen.jobs.list(state, limit))
    if as_json:
        click.echo(msgspec.json.encode({"jobs": jobs}).decode())
        return
    if not jobs:
        say("No jobs." if state is None else f"No jobs are {state}.")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("JOB", "OPERATION", "STATE", "TAKEN", "TOOK", "WHY"):
        table.add_column(heading, justify="right" if heading == "TOOK" else "left", no_wrap=heading == "JOB")
    for job in jobs:
        why = " ".join((job.error_message or "").split())
        row = (job.job_id, job.operation, job.state, ago(job.created_at), took(job), why)
        table.add_row(*(Text(printable(cell)) for cell in row))
    table_console().print(table)
