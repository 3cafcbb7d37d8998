"""``rbee ps``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.console import say, table_console
from rbee.cli.context import current
from rbee.cli.format import duration, megabytes, text
from rbee.cli.queen import ask_queen
from rbee.contract.wire import WorkerRecord


@click.command("ps")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """List the workers of the running colony."""
    context = current()
    workers = ask_queen(context, lambda queen: queen.workers())
    if as_json:
        click.echo(msgspec.json.encode({"workers": workers}).decode())
        return
    if not workers:
        say("No workers. One starts when a model is asked for: rbee run demo 'Hello'")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("ID", "MODEL", "HIVE", "DEVICE", "STATE", "SLOTS", "MEMORY", "UPTIME"):
        table.add_column(heading, justify="right" if heading in {"SLOTS", "MEMORY", "UPTIME"} else "left")
    for worker in workers:
        table.add_row(*_row(worker))
    table_console().print(table)


def _row(worker: WorkerRecord) -> tuple[str, ...]:
    state = worker.state if worker.presence in {"online", "unobserved"} else worker.presence
    if worker.stage:
        state = f"{state} ({worker.stage})"
    busy = (
        f"{worker.slots_total - worker.slots_available}/{worker.slots_total}"
        if worker.slots_total is not None and worker.slots_available is not None
        else text(None)
    )
    return (
        worker.worker_id,
        text(worker.model_id),
        text(worker.hive_id),
        text(worker.device),
        state,
        busy,
        megabytes(worker.rss_mb if worker.vram_mb is None else worker.vram_mb),
        duration(worker.uptime_s),
    )
