"""``rbee worker available``."""

from __future__ import annotations

import click

from rbee.cli.engine_list import Columns, print_engines, words
from rbee.cli.format import text
from rbee.cli.hives import hive_options
from rbee.contract.worker_vendor import WorkerOffer


@click.command("available")
@hive_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, hive_id: str | None, all_hives: bool, as_json: bool) -> int:
    """List engines that are not installed and can be had; without --hive, of all hives."""
    columns = Columns(
        headings=("ENGINE", "VENDOR", "FORMATS", "BACKENDS", "WHAT"),
        row=_row,
        sentences="WHAT",
        none="Every engine that is known is installed. Another package: rbee worker install NAME --package PACKAGE",
    )
    return print_engines(
        "worker_catalog_list",
        lambda engine: not engine.installed,
        columns,
        hive_id,
        all_hives=all_hives,
        as_json=as_json,
    )


def _row(engine: WorkerOffer) -> tuple[str, ...]:
    what = engine.summary or engine.package or engine.reason
    return (engine.worker, engine.vendor, words(engine.formats), words(engine.backends), text(what))
