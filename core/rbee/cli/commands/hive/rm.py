"""``rbee hive rm``."""

from __future__ import annotations

import click

from rbee.cli.beehives import with_beehives
from rbee.cli.console import say
from rbee.cli.context import current


@click.command("rm")
@click.argument("name")
def command(*, name: str) -> None:
    """Take a hive out of the list.  The hive itself goes on, if it runs."""
    with_beehives(current(), lambda beehives: beehives.remove(name))
    say(f"Hive {name!r} was removed from the list.")
