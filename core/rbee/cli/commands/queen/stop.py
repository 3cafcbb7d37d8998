"""``rbee queen stop``."""

from __future__ import annotations

import click

from rbee.cli import apart
from rbee.cli.context import current


@click.command("stop")
@click.option("--json", "as_json", is_flag=True, help="Print what was stopped as JSON.")
def command(*, as_json: bool) -> None:
    """Stop the queen that runs by itself."""
    apart.stop(current(), "queen", as_json=as_json)
