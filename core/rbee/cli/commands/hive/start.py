"""``rbee hive start``."""

from __future__ import annotations

import click

from rbee.cli import apart
from rbee.cli.context import current


@click.command("start")
@click.option("--detach", "-d", is_flag=True, help="Run in the background; returns once it answers.")
@click.option("--json", "as_json", is_flag=True, help="Print where it listens as JSON.")
@click.option("--report-fd", type=int, hidden=True)
def command(*, detach: bool, as_json: bool, report_fd: int | None) -> int:
    """Run the hive of this machine by itself, until Ctrl+C or `rbee hive stop`.

    A hive starts workers on its machine and measures them.
    """
    return apart.start(current(), "hive", detach=detach, as_json=as_json, report_fd=report_fd)
