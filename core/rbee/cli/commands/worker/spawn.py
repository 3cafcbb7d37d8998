"""``rbee worker spawn``."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from rbee.cli.asking import absolute
from rbee.cli.console import say, talking
from rbee.cli.context import current
from rbee.cli.executor import find_executor
from rbee.cli.format import printable
from rbee.cli.loop import run_async
from rbee.cli.words import NOT_EMPTY, pairs
from rbee.cli.work import run_job
from rbee.clients import Transport
from rbee.contract.errors import InvalidRequestError


@click.command("spawn")
@click.argument("model")
@click.option("--hive", "hive_id", type=NOT_EMPTY, metavar="ID", help="On this hive; the queen chooses when left out.")
@click.option(
    "--device",
    type=NOT_EMPTY,
    help="On this device, as GPU-0 or 0, or over these, as GPU-0,GPU-1; the first when left out.",
)
@click.option(
    "--engine",
    type=NOT_EMPTY,
    metavar="NAME",
    help="By this engine or backend; the model's format decides when left out.",
)
@click.option("--slots", type=click.IntRange(1, 1024), metavar="N", help="Requests served at the same time.")
@click.option("--context-length", type=click.IntRange(16, 16_777_216), metavar="N", help="Tokens a slot.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=pairs("cache_mb=512"),
    help="Set an option of the engine, over the settings of the hive; may be repeated.",
)
@click.option("--worker-id", metavar="ID", help="Its name; one is made when left out.")
@click.option("--json", "as_json", is_flag=True, help="Print the worker as JSON.")
def command(
    *, model: str, hive_id: str | None, device: str | None, engine: str | None, as_json: bool, **fields: Any
) -> None:
    """Start a worker for MODEL, wait until it serves, and print its id.

    The queen has it started; without a queen, a hive is asked directly.  Ctrl+C gives up and ends what was begun.
    """
    if not model.strip():
        raise InvalidRequestError("The model's name is empty; try: rbee worker spawn demo")
    context = current()
    executor = find_executor(context, hive_id, prefer_own=True)
    wanted = {
        "model": absolute(model),
        "hive_id": hive_id,
        "device": int(device) if device is not None and device.isascii() and device.isdecimal() else device,
        "worker": engine,
        **fields,
    }

    async def spawn() -> Any:
        transport = Transport(executor.url, context.credentials(), executor.who)
        try:
            with talking() as talk:
                talk.note(f"Asking for a worker for {model}")
                return await run_job(transport, "worker_spawn", wanted, talk)
        finally:
            await transport.close()

    found = run_async(spawn())
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    done = "served already" if found["already"] else "serves"
    say(f"{found['worker_id']} {done}: {found['model_id']} at {found['url']}")
    click.echo(printable(found["worker_id"]))
