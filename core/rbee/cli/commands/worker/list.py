"""``rbee worker list``."""

from __future__ import annotations

import click

from rbee.cli.engine_list import Columns, print_engines, source, usable, words
from rbee.cli.format import text
from rbee.cli.hives import hive_options
from rbee.contract.worker_vendor import WorkerOffer


@click.command("list")
@hive_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, hive_id: str | None, all_hives: bool, as_json: bool) -> int:
    """List installed engines: where each is from, and whether it can be used; without --hive, of all hives.

    Running workers are listed by `rbee worker ls`.
    """
    columns = Columns(
        headings=("ENGINE", "VERSION", "FROM", "FORMATS", "BACKENDS", "USABLE"),
        row=_row,
        sentences="USABLE",
        none="No engines are installed. See what can be had: rbee worker available",
    )
    operation = "worker_list_installed"
    return print_engines(operation, lambda _: True, columns, hive_id, all_hives=all_hives, as_json=as_json)


def _row(engine: WorkerOffer) -> tuple[str, ...]:
    return (
        engine.worker,
        text(engine.version),
        source(engine),
        words(engine.formats),
        words(engine.backends),
        usable(engine),
    )
