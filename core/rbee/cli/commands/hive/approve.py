"""``rbee hive approve``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.queen import ask_queen
from rbee.cli.tables import print_table
from rbee.contract.errors import InvalidRequestError


@click.command("approve")
@click.argument("name", required=False)
@click.option("--key", metavar="SHA256:...", help="Of which machine, where several wait by one name.")
@click.option("--reject", is_flag=True, help="Send it away instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, name: str | None, key: str | None, reject: bool, as_json: bool) -> None:
    """Let a machine that was invited join the colony as hive NAME; without NAME, list those that wait."""
    if name is None:
        if key is not None or reject:
            raise InvalidRequestError("Name the hive, too: rbee hive approve NAME", param="name")
        _list(as_json=as_json)
        return
    who = name
    done = ask_queen(current(), lambda queen: queen.certificates.approve(who, key, approved=not reject))
    if as_json:
        click.echo(msgspec.json.encode({"hive_id": done.name, "key": done.key, "approved": not reject}).decode())
        return
    say(f"The machine with the key {done.key} " + ("was sent away." if reject else f"joins as hive {done.name!r} now."))


def _list(*, as_json: bool) -> None:
    found = ask_queen(current(), lambda queen: queen.certificates.waiting())
    if as_json:
        click.echo(msgspec.json.encode({"waiting": found}).decode())
        return
    if not found:
        say("No machine waits. With the setting security.approve_hives, those that are invited do.")
        return
    rows = [(one.name, one.key, f"{one.since.astimezone():%Y-%m-%d %H:%M %Z}") for one in found]
    print_table(("NAME", "KEY", "SINCE"), rows, whole=("KEY", "SINCE"))
