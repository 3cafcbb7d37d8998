"""``rbee logs``."""

from __future__ import annotations

import time

import click
import msgspec

from rbee.cli.console import say, table_console
from rbee.cli.context import Context, current
from rbee.cli.format import duration, megabytes, printable
from rbee.cli.logfiles import COLONY, list_logs, program_log
from rbee.cli.logprint import LogPrinter
from rbee.cli.loop import run_async
from rbee.cli.named import by_prefix
from rbee.cli.programs import PROGRAMS
from rbee.cli.remote_logs import elsewhere, print_remote
from rbee.contract.errors import NotFoundError
from rbee.logs.reading import LogFiles, LogPlace

_POLL_S = 0.2
_MOST = 64 * 1024 * 1024
_MIB = 1024 * 1024


@click.command("logs")
@click.argument("name", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written, until Ctrl+C.")
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(0, 100_000),
    default=200,
    show_default=True,
    metavar="N",
    help="The last N lines; 0 for all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the list, or an object a line.")
def command(*, name: str | None, follow: bool, lines: int, as_json: bool) -> None:
    """List the logs, or print the log of NAME: a worker, a hive, `queen`, `registry` or `colony`.

    As much of a worker's id as leaves no doubt is enough.  The log of a worker on another machine is read through
    its hive.

    \b
    rbee logs
    rbee logs worker-1a2b3c4d --follow
    rbee logs queen -n 0
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    context = current()
    context.check()
    if name is None:
        if follow:
            raise click.UsageError("--follow needs the name of a log; `rbee logs` lists them.")
        _list(context, as_json=as_json)
        return
    _print(context, name, lines=lines, follow=follow, as_json=as_json)


def _list(context: Context, *, as_json: bool) -> None:
    logs = list_logs(context.folders.logs)
    if as_json:
        click.echo(msgspec.json.encode({"folder": str(context.folders.logs), "logs": logs}).decode())
        return
    if not logs:
        say(f"No logs in '{context.folders.logs}'. Programs write one when they are started in the background.")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("LOG", "KIND", "FILES", "SIZE", "WRITTEN"):
        table.add_column(heading, justify="right" if heading in {"FILES", "SIZE"} else "left")
    for one in logs:
        size = f"{one.size_bytes} B" if one.size_bytes < _MIB else megabytes(one.size_bytes // _MIB)
        age = f"{duration(max(0.0, time.time() - one.written_at.timestamp()))} ago"
        table.add_row(*map(Text, (printable(one.name), one.kind, str(one.files), size, age)))
    table_console().print(table)


def _print(context: Context, wanted: str, *, lines: int, follow: bool, as_json: bool) -> None:
    here = {one.name for one in list_logs(context.folders.logs)}
    if wanted in PROGRAMS or wanted == COLONY or (wanted not in here and wanted == _own_hive(context)):
        name = _program(context, wanted, here)
    elif wanted in here:
        name = wanted
    else:
        others = elsewhere(context)
        if wanted in others.hives and wanted not in others.workers:
            raise NotFoundError(
                f"The log of hive {wanted!r} is on its machine ({others.hives[wanted]}). There: rbee logs hive"
            )
        name = by_prefix(wanted, here | set(others.workers), "log", "rbee logs")
        if name not in here:
            printer = LogPrinter(name, as_json=as_json)
            try:
                run_async(print_remote(context, name, others, printer, lines=lines, follow=follow))
            finally:
                printer.finish()
            return
    _local(context, name, LogPrinter(name, as_json=as_json), lines=lines, follow=follow)


def _program(context: Context, wanted: str, here: set[str]) -> str:
    """Name of the log of a program of this home.

    Raises:
        NotFoundError: there is none.
    """
    program = next((one for one in PROGRAMS if one == wanted), PROGRAMS[-1])
    name, why = COLONY, None
    if wanted != COLONY:
        found = program_log(context.folders, program)
        name, why = found.name, found.elsewhere
    if name not in here:
        reason = why or "it has not been started in the background yet"
        raise NotFoundError(f"There is no log of {wanted!r} here: {reason}.")
    if why is not None:
        say(f"These lines are of an earlier start: {why}.")
    return name


def _own_hive(context: Context) -> str:
    from rbee.hive.telling import default_hive_id

    return context.settings.hive.id or default_hive_id()


def _local(context: Context, name: str, printer: LogPrinter, *, lines: int, follow: bool) -> None:
    files = LogFiles(context.folders.logs, name)
    try:
        place: LogPlace | None = None
        if lines:
            part = files.tail(lines, _MOST)
            printer.write(part.data)
            place = part.place
        else:
            for block in files.everything():
                if isinstance(block, LogPlace):
                    place = block
                else:
                    printer.write(block)
        while follow and place is not None:
            time.sleep(_POLL_S)
            part = files.after(place, _MOST)
            if part.left_out:
                say(f"{part.left_out} bytes came too fast and were left out.")
            printer.write(part.data)
            place = part.place
    finally:
        printer.finish()
