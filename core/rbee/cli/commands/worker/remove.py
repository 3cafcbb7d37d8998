"""``rbee worker remove``."""

from __future__ import annotations

import click

from rbee.cli.engine_list import change_engine
from rbee.cli.hives import hive_options
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

    def told(_done: WorkerOffer) -> str:
        return f"{engine} is removed."

    return change_engine("worker_remove", fields, told, hive_id, all_hives=all_hives, as_json=as_json)
