"""``rbee ca revoke``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.agreeing import agreed
from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.exits import FAILED, OK
from rbee.cli.queen import ask_queen
from rbee.contract.wire import RevocableRole


@click.command("revoke")
@click.argument("role", type=click.Choice(["hive", "worker", "registry"]))
@click.argument("name")
@click.option("--reason", default="", metavar="TEXT", help="Why; `rbee ca show` tells it.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, role: RevocableRole, name: str, reason: str, yes: bool, as_json: bool) -> int:
    """Trust a program no more: all its certificates, and for a hive those of its workers, hold no longer."""
    if not agreed(
        f"The {role} {name!r} would be put out of the colony, and comes back by a new invitation alone.", yes=yes
    ):
        return FAILED
    done = ask_queen(current(), lambda queen: queen.certificates.revoke(role, name, reason))
    if as_json:
        click.echo(msgspec.json.encode(done).decode())
        return OK
    what = "1 certificate holds" if done.certificates == 1 else f"{done.certificates} certificates hold"
    say(f"Of {role} {name!r} {what} no more.")
    return OK
