"""``rbee worker drain``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.draining import until_drained
from rbee.cli.named import by_prefix
from rbee.cli.queen import ask_queen
from rbee.clients import QueenClient
from rbee.contract.wire import WorkerDrain


@click.command("drain")
@click.argument("worker")
@click.option("--undo", is_flag=True, help="Have it take requests again.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the requests that are open.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, worker: str, undo: bool, no_wait: bool, timeout_s: float | None, as_json: bool) -> None:
    """Have a worker finish its open requests and take no more, with its model loaded, until --undo.

    As much of its id as leaves no doubt is enough.
    """

    async def ask(queen: QueenClient) -> WorkerDrain:
        worker_id = by_prefix(worker, [one.worker_id for one in await queen.workers()], "worker", "rbee worker ls")
        return await until_drained(
            lambda: queen.drain_worker(worker_id, on=not undo),
            lambda told: told.open_requests or 0,
            f"Worker {worker_id}",
            wait=not no_wait and not undo,
            timeout_s=timeout_s,
        )

    told = ask_queen(current(), ask)
    if as_json:
        click.echo(msgspec.json.encode(told).decode())
    elif undo:
        say(f"Worker {told.worker_id} takes requests again.")
    else:
        left = f"; {told.open_requests} still open" if told.open_requests else ", and none is open"
        say(f"Worker {told.worker_id} takes no more requests{left}. Back to work: rbee worker drain {worker} --undo")
