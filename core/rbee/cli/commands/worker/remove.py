"""``rbee worker remove``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.asked import ask_hives
from rbee.cli.console import say
from rbee.cli.exits import OK
from rbee.cli.format import line
from rbee.cli.hives import hive_options
from rbee.cli.outcomes import raise_failures
from rbee.cli.words import NOT_EMPTY
from rbee.contract.worker_vendor import WorkerOffer


@click.command("remove")
@click.argument("engine", type=NOT_EMPTY)
@click.option("--vendor", type=NOT_EMPTY, metavar="NAME", help="This vendor's; needed where several have it.")
@hive_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, an object a hive.")
def command(*, engine: str, vendor: str | None, hive_id: str | None, all_hives: bool, as_json: bool) -> int:
    """Remove an installed ENGINE; refused while a worker runs it.

    What lies in rbee's own environment is left to whoever put it there: the error has the command.
    """
    fields = {"worker": engine, "vendor": vendor}
    asked = ask_hives("worker_remove", fields, WorkerOffer, hive_id, all_hives=all_hives)
    if as_json:
        click.echo(msgspec.json.encode([one.told(worker=engine) for one in asked]).decode())
    else:
        several = len(asked) > 1
        for one in asked:
            if one.result is not None:
                say(line(f"{f'{one.hive_id}: ' * several}{engine} is removed."))
    raise_failures(asked)
    return OK
