"""``rbee hive doctor``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.arriving import examined
from rbee.cli.beehives import with_beehives
from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.exits import FAILED, OK
from rbee.cli.format import line
from rbee.cli.machine_checks import print_checks
from rbee.cli.outcomes import raise_failures
from rbee.contract.errors import NotFoundError


@click.command("doctor")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="All machines that were entered and are enabled.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, an object a machine.")
def command(*, names: tuple[str, ...], every: bool, as_json: bool) -> int:
    """Look at machines over SSH: the connection, what is there, and whether they and the queen reach each other.

    Nothing is changed there.  The exit code is 1 when something does not work.
    """
    if every == bool(names):
        raise click.UsageError("Name machines, or take --all; `rbee hive ls` lists them.")
    context = current()
    wanted = list(dict.fromkeys(names))
    if every:
        wanted = [one.node_name for one in with_beehives(context, lambda beehives: beehives.list()) if one.enabled]
    if not wanted:
        raise NotFoundError("No machines were entered that are enabled. Enter one: rbee hive add USER@HOST")
    found = examined(context, wanted)
    if as_json:
        click.echo(msgspec.json.encode([one.told() for one in found]).decode())
    else:
        for one in found:
            if one.result is not None:
                click.echo(line(one.hive_id))
                print_checks(one.result.checks)
    raise_failures(found)
    amiss = any(check.status == "fail" for one in found if one.result for check in one.result.checks)
    if not as_json and not amiss:
        say("Nothing is in the way of a hive there." if len(found) == 1 else "Nothing is in the way of hives there.")
    return FAILED if amiss else OK
