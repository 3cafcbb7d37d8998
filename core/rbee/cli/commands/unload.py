"""``rbee unload``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.asked import ask_running
from rbee.cli.console import say
from rbee.cli.exits import OK
from rbee.cli.format import line
from rbee.cli.words import MODEL, NOT_EMPTY
from rbee.contract.wire import Unloaded


@click.command("unload")
@click.argument("model", type=MODEL, metavar="MODEL|WORKER")
@click.option("--hive", "hive_id", type=NOT_EMPTY, metavar="ID", help="Only on this hive.")
@click.option("--force", is_flag=True, help="Do not wait for open requests.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, model: str, hive_id: str | None, force: bool, as_json: bool) -> int:
    """Stop the workers of MODEL, or the one WORKER; its files stay.  Open requests are finished before.

    With the last worker of a model its pin goes, and what was said of how long it is kept.
    """
    found = ask_running("unload", {"model": model, "hive_id": hive_id, "force": force}, Unloaded)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return OK
    say(line(f"{found.model} is unloaded: {', '.join(found.stopped)} stopped."))
    return OK
