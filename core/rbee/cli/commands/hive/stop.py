"""``rbee hive stop``."""

from __future__ import annotations

import click

from rbee.cli import apart
from rbee.cli.context import current


@click.command("stop")
@click.option("--json", "as_json", is_flag=True, help="Print what was stopped as JSON.")
def command(*, as_json: bool) -> None:
    """Stop the hive of this machine that runs by itself."""
    apart.stop(current(), "hive", as_json=as_json)
