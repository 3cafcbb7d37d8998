"""``rbee load``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.asked import ask_running
from rbee.cli.console import say
from rbee.cli.exits import OK
from rbee.cli.format import line
from rbee.cli.words import MODEL, NOT_EMPTY
from rbee.contract.wire import Loaded


@click.command("load")
@click.argument("model", type=MODEL)
@click.option("--hive", "hive_id", type=NOT_EMPTY, metavar="ID", help="On this hive; where it fits best when left out.")
@click.option(
    "--where",
    multiple=True,
    type=NOT_EMPTY,
    metavar="KEY=VALUE",
    help="Only where this holds, as gpu=4090, vram>=24, backend=cuda, room=attic; may be repeated.",
)
@click.option("--replicas", type=click.IntRange(1, 64), default=1, show_default=True, help="Workers that serve it.")
@click.option("--context", "context_length", type=click.IntRange(16, 16_777_216), metavar="N", help="Tokens a slot.")
@click.option("--pin", is_flag=True, help="Keep it: not stopped to make room, nor for idleness.")
@click.option(
    "--keep-alive",
    type=NOT_EMPTY,
    metavar="TIME",
    help="How long it stays while idle: seconds, 5m, 1h30m, -1 for ever.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    *,
    model: str,
    hive_id: str | None,
    where: tuple[str, ...],
    replicas: int,
    context_length: int | None,
    pin: bool,
    keep_alive: str | None,
    as_json: bool,
) -> int:
    """Have MODEL served before anybody asks it, and print the ids of its workers.

    The queen chooses the machines; workers that serve it already count.  What --pin and --keep-alive say holds until
    `rbee unload`, also when the colony is restarted.  Ctrl+C gives up and ends what was begun.

    \b
    rbee load demo
    rbee load org/repo:Q4_K_M --replicas 2 --keep-alive 1h
    rbee load org/repo --where gpu=4090 --where room=attic
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    fields = {
        "model": model,
        "hive_id": hive_id,
        "where": list(where) or None,
        "replicas": replicas,
        "context_length": context_length,
        "pin": pin,
        "keep_alive": keep_alive,
    }
    found = ask_running("load", fields, Loaded)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return OK
    for worker_id in found.workers:
        click.echo(line(worker_id))
    say(line(f"{found.model} is loaded. Try it: rbee run {found.model} 'Hello'"))
    return OK
