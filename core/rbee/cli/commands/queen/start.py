"""``rbee queen start``."""

from __future__ import annotations

import click

from rbee.cli import apart
from rbee.cli.context import Context, current


@click.command("start")
@click.option("--detach", "-d", is_flag=True, help="Run in the background; returns once it answers.")
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    help="Processes that share the port and carry requests (Linux); setting queen.processes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print where it listens as JSON.")
@click.option("--report-fd", type=int, hidden=True)
def command(*, detach: bool, processes: int | None, as_json: bool, report_fd: int | None) -> int:
    """Run the queen by itself, until Ctrl+C or `rbee queen stop`.

    The queen answers the OpenAI API, places requests and knows hives and workers.
    """
    context = current()
    if processes is not None:
        context = Context({**context.overrides, "queen.processes": str(processes)})
    return apart.start(context, "queen", detach=detach, as_json=as_json, report_fd=report_fd)
