"""``rbee registry start``."""

from __future__ import annotations

import click

from rbee.cli import apart
from rbee.cli.context import current


@click.command("start")
@click.option("--detach", "-d", is_flag=True, help="Run in the background; returns once it answers.")
@click.option("--json", "as_json", is_flag=True, help="Print where it listens as JSON.")
@click.option("--report-fd", type=int, hidden=True)
def command(*, detach: bool, as_json: bool, report_fd: int | None) -> int:
    """Run the registry by itself, until Ctrl+C or `rbee registry stop`.

    The registry tells all programs of a colony where the others are.
    """
    return apart.start(current(), "registry", detach=detach, as_json=as_json, report_fd=report_fd)
