"""``rbee hive invite``."""

from __future__ import annotations

import shlex

import click
import msgspec

from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.queen import ask_queen


@click.command("invite")
@click.option("--name", metavar="NAME", help="As which hive the machine must join; any when absent.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, 10_080, min_open=True),
    metavar="N",
    help="For how long the invitation holds; the setting security.invite_minutes when absent.",
)
@click.option("--approved", is_flag=True, help="It need not wait for `rbee hive approve` where others do.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, name: str | None, minutes: float | None, approved: bool, as_json: bool) -> None:
    """Invite a machine into the colony: prints the command to run there, which works once."""
    made = ask_queen(current(), lambda queen: queen.certificates.invite(name, minutes, approved=approved))
    if as_json:
        click.echo(msgspec.json.encode(made).decode())
        return
    say(f"Run this on the other machine, once, before {made.expires_at.astimezone():%Y-%m-%d %H:%M %Z}:")
    words = ["rbee", "hive", "join", made.url, "--token", made.token, "--ca-fingerprint", made.ca_fingerprint]
    if name is not None:
        words += ["--name", name]
    click.echo(shlex.join(words))
