"""``rbee bench``."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from rbee.cli.bench_table import print_benched
from rbee.cli.console import say, talking
from rbee.cli.context import current
from rbee.cli.exits import FAILED, OK
from rbee.cli.format import line
from rbee.cli.locate import queen_url
from rbee.cli.loop import run_async
from rbee.cli.named import by_prefix
from rbee.cli.outcomes import job
from rbee.cli.words import MODEL, NOT_EMPTY
from rbee.clients import QueenClient, Transport
from rbee.clients.who import QUEEN
from rbee.contract.wire import Benched

_MOST = 16


class _Streams(click.ParamType[tuple[int, ...]]):
    """Numbers with commas between."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """See click."""
        if isinstance(value, tuple):
            return value
        words = str(value).split(",")
        if len(words) > _MOST or not all(one.strip().isascii() and one.strip().isdigit() for one in words):
            self.fail(f"{value!r} is no list of at most {_MOST} numbers, as in 1,4,8.", param, ctx)
        numbers = tuple(int(one) for one in words)
        if not all(1 <= one <= 256 for one in numbers):
            self.fail(f"{value!r}: each must be 1 to 256.", param, ctx)
        return numbers


@click.command("bench")
@click.argument("model", required=False, type=MODEL)
@click.option("--worker", type=NOT_EMPTY, metavar="ID", help="Only this worker.")
@click.option("--streams", type=_Streams(), default="1,4,8", show_default=True, help="Answers at the same time.")
@click.option(
    "--prompt-tokens", type=click.IntRange(16, 1_000_000), default=512, show_default=True, help="Length of the prompts."
)
@click.option(
    "--tokens", type=click.IntRange(16, 100_000), default=64, show_default=True, help="Length of the answers."
)
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Measure so often; medians are shown."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, model: str | None, worker: str | None, as_json: bool, **asked: Any) -> int:
    """Measure how quick the workers of MODEL are, or all workers, one after the other, and tell the scheduler.

    A worker serves nobody else while it is measured.  Exit code 3 when no colony runs.

    \b
    rbee bench demo
    rbee bench demo --streams 1,2 --prompt-tokens 1024 --rounds 5 --json
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    context = current()
    url = queen_url(context)

    async def ask() -> Benched:
        transport = Transport(url, context.credentials(), QUEEN)
        try:
            if worker is not None:
                workers = await QueenClient(transport).workers()
                asked["worker_id"] = by_prefix(worker, [one.worker_id for one in workers], "worker", "rbee worker ls")
            return await job(transport, "bench", {"model": model, **asked}, Benched, talk)
        finally:
            await transport.close()

    with talking() as talk:
        found = run_async(ask())
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        print_benched(found)
    failed = [one for one in found.workers if one.failed is not None]
    for one in failed:
        say(line(f"{one.worker_id}: {one.failed.message if one.failed else ''}"))
    return FAILED if failed else OK
