"""``rbee hive stop``."""

from __future__ import annotations

import click

from rbee.cli import apart
from rbee.cli.context import current


@click.command("stop")
@click.option("--json", "as_json", is_flag=True, help="Print what was stopped as JSON.")
@click.option("--keep-workers", is_flag=True, help="Leave workers running that serve; the next start finds them again.")
def command(*, as_json: bool, keep_workers: bool) -> None:
    """Stop the hive of this machine that runs by itself, and its workers."""
    apart.stop(current(), "hive", as_json=as_json, keep_workers=keep_workers)
