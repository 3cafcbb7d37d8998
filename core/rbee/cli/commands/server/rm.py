"""``rbee server rm``."""

from __future__ import annotations

import click
import msgspec

from rbee.builtin.openai_server import Connections
from rbee.cli.console import say
from rbee.cli.context import current


@click.command("rm")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, name: str, as_json: bool) -> None:
    """Forget a server and its key.  A worker that stands for it ends in some seconds; the server itself goes on."""
    Connections.of(current().environment()).remove(name)
    if as_json:
        click.echo(msgspec.json.encode({"removed": [name]}).decode())
        return
    say(f"Server {name!r} and its key are forgotten.")
