"""``rbee server ls``."""

from __future__ import annotations

import click
import msgspec

from rbee.builtin.openai_server import Connections
from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.servers import shown
from rbee.cli.tables import print_table


@click.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the models of each.")
def command(*, as_json: bool) -> None:
    """List the servers that were added.  Keys are never shown."""
    connections = Connections.of(current().environment()).all()
    if as_json:
        click.echo(msgspec.json.encode({"servers": [shown(one) for one in connections]}).decode())
    elif connections:
        rows = [
            (one.name, one.url, "yes" if one.key else "no", str(one.slots or "-"), str(len(one.models)))
            for one in connections
        ]
        print_table(("SERVER", "URL", "KEY", "SLOTS", "MODELS"), rows, right={"SLOTS", "MODELS"}, whole={"SERVER"})
    else:
        say("No servers. Add one: rbee server add NAME URL")
