"""``rbee hive rm``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.beehives import with_beehives
from rbee.cli.console import say
from rbee.cli.context import current


@click.command("rm")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, name: str, as_json: bool) -> None:
    """Take a hive out of the list.  The hive itself goes on, if it runs."""
    with_beehives(current(), lambda beehives: beehives.remove(name))
    if as_json:
        click.echo(msgspec.json.encode({"removed": [name]}).decode())
        return
    say(f"Hive {name!r} was removed from the list.")
