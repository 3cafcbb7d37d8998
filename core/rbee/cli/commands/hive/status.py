"""``rbee hive status``."""

from __future__ import annotations

import click

from rbee.cli import apart
from rbee.cli.context import current


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> int:
    """Say whether the hive of this machine runs in this home, and where.  Exit code 3 when not."""
    return apart.status(current(), "hive", as_json=as_json)
