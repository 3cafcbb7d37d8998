"""``rbee hive logs``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.console import Talk, say
from rbee.cli.context import current
from rbee.cli.exits import OK
from rbee.cli.format import line, printable
from rbee.cli.locate import queen_url
from rbee.cli.loop import run_async
from rbee.cli.outcomes import Outcome, outcome, raise_failures, together
from rbee.cli.remote_hives import meant, names_and_all
from rbee.cli.work import run_job
from rbee.clients import Transport
from rbee.clients.who import QUEEN
from rbee.contract.wire import JobEvent


@click.command("logs")
@names_and_all
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written, until Ctrl+C.")
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(0, 10_000),
    default=100,
    show_default=True,
    metavar="N",
    help="The last N lines.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")
def command(*, names: tuple[str, ...], every: bool, follow: bool, lines: int, as_json: bool) -> int:
    """Print what the hives of other machines have said, read there over SSH.

    For logs of workers see `rbee logs`.
    """
    machines = meant(names, every=every)
    context = current()
    url = queen_url(context)
    fields = {"lines": lines, "follow": follow or None}

    async def all_of_them() -> list[Outcome[None]]:
        transport = Transport(url, context.credentials(), QUEEN)
        try:
            return await together(
                [
                    outcome(
                        name,
                        f"hive {name}",
                        run_job(
                            transport,
                            "hive_logs",
                            {**fields, "hive_id": name},
                            _Printer(name, as_json=as_json, several=len(machines) > 1),
                        ),
                    )
                    for name in machines
                ]
            )
        finally:
            await transport.close()

    raise_failures(run_async(all_of_them()))
    return OK


class _Printer(Talk):
    """Prints the lines of one hive.

    Args:
        name: of the hive.
        as_json: as objects.
        several: others are printed, too.
    """

    def __init__(self, name: str, *, as_json: bool, several: bool) -> None:
        self._name = name
        self._as_json = as_json
        self._prefix = f"{name}: " if several else ""

    def event(self, event: JobEvent) -> None:
        """Print one line, or say a sentence."""
        if event.type == "narration" and event.human:
            say(line(event.human))
        if event.type != "data" or event.action != "line":
            return
        text = str(event.payload["line"])
        if self._as_json:
            click.echo(msgspec.json.encode({"hive_id": self._name, "line": text}).decode())
        else:
            click.echo(printable(f"{self._prefix}{text}"))
