"""``rbee ca rotate``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.agreeing import agreed
from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.exits import FAILED, OK
from rbee.cli.queen import ask_queen

_SLOWLY = "The authority gets a new key; the old one is trusted until nothing it has signed holds any more."
_AT_ONCE = "The authority's key is given up: every other machine has to join the colony again."


@click.command("rotate")
@click.option("--at-once", is_flag=True, help="Trust the old key no more, as when somebody else has it.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, at_once: bool, yes: bool, as_json: bool) -> int:
    """Give the colony's certificate authority a new key, which machines hear of as they renew their certificates."""
    if not agreed(_AT_ONCE if at_once else _SLOWLY, yes=yes):
        return FAILED
    made = ask_queen(current(), lambda queen: queen.certificates.rotate(at_once=at_once))
    if as_json:
        click.echo(msgspec.json.encode(made).decode())
        return OK
    click.echo(made.fingerprint)
    if at_once:
        say("Start the programs of this machine again now (rbee down, rbee up), and invite the others anew.")
    else:
        say(
            f"Everything that runs hears of it; it signs from {made.signs_from.astimezone():%Y-%m-%d %H:%M %Z} on. "
            "Give browsers and SDKs the new file: rbee ca export"
        )
    return OK
