"""``rbee ca show``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.context import current
from rbee.cli.queen import ask_queen


@click.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """Show the colony's certificate authority: its fingerprint is what a machine that joins must be told."""
    found = ask_queen(current(), lambda queen: queen.certificates.info())
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    click.echo(f"colony        {found.colony}")
    click.echo(f"fingerprint   {found.fingerprint}")
    click.echo(f"ends          {found.expires_at.astimezone():%Y-%m-%d %H:%M %Z}")
    click.echo(f"certificates  hold for {found.certificate_hours:g} h and are renewed at half of them")
