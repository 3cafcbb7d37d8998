"""``rbee hive status``."""

from __future__ import annotations

import click

from rbee.cli import apart
from rbee.cli.context import current
from rbee.cli.remote_hives import meant, names_and_all, on_machines, tell


@click.command("status")
@names_and_all
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, names: tuple[str, ...], every: bool, as_json: bool) -> int:
    """Say whether the hive of this machine runs in this home, and where.  Exit code 3 when not.

    With NAME, what is installed on other machines and whether their hives run, looked at over SSH.
    """
    if names or every:
        return tell(on_machines("hive_status", meant(names, every=every), {}), as_json=as_json)
    return apart.status(current(), "hive", as_json=as_json)
