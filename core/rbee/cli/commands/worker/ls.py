"""``rbee worker ls``."""

from __future__ import annotations

import click

from rbee.cli.context import current
from rbee.cli.worker_list import print_workers


@click.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """List the workers of the running colony, as `rbee ps` does."""
    print_workers(current(), as_json=as_json)
