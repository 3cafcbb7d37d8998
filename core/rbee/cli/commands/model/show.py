"""``rbee model show``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.asked import ask_hives
from rbee.cli.exits import OK
from rbee.cli.format import line, printable
from rbee.cli.hives import hive_options
from rbee.cli.model_list import facts_of, file_rows
from rbee.cli.outcomes import raise_failures
from rbee.cli.words import MODEL
from rbee.contract.wire import ModelRecord


@click.command("show")
@click.argument("model", type=MODEL)
@hive_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, an object a hive.")
def command(*, model: str, hive_id: str | None, all_hives: bool, as_json: bool) -> int:
    """Show one model with everything known of it: state, files, figures, where it came from."""
    asked = ask_hives("model_get", {"model": model}, ModelRecord, hive_id, all_hives=all_hives, quiet=True)
    if as_json:
        click.echo(msgspec.json.encode([one.told(model=model) for one in asked]).decode())
    else:
        found = [(one.hive_id, one.result) for one in asked if one.result is not None]
        for number, (name, record) in enumerate(found):
            if number:
                click.echo()
            _print(name, record)
    raise_failures(asked, anywhere=model if all_hives else None)
    return OK


def _print(hive_id: str, record: ModelRecord) -> None:
    for key, value in facts_of(hive_id, record).items():
        click.echo(f"{key:<13} {line(value)}")
    rows = file_rows(record)
    widths = [max((len(row[at]) for row in rows), default=0) for at in (0, 1)]
    for name, size, checksum in rows:
        click.echo(printable(f"  {name:<{widths[0]}}  {size:>{widths[1]}}  {checksum}"))
