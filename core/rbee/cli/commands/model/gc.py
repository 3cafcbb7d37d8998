"""``rbee model gc``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.asked import ask_hives
from rbee.cli.console import say
from rbee.cli.exits import OK
from rbee.cli.format import byte_size, line
from rbee.cli.hives import hive_options
from rbee.cli.outcomes import Outcome, raise_failures
from rbee.cli.tables import print_table
from rbee.contract.wire import GarbageCollected


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@hive_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, an object a hive.")
def command(*, dry_run: bool, hive_id: str | None, all_hives: bool, as_json: bool) -> int:
    """Delete what downloads have left that nobody goes on with, and records of models whose files are gone."""
    fields = {"dry_run": dry_run or None}
    asked = ask_hives("model_gc", fields, GarbageCollected, hive_id, all_hives=all_hives, quiet=True)
    if as_json:
        click.echo(msgspec.json.encode([one.told() for one in asked]).decode())
    else:
        _print(asked)
    raise_failures(asked)
    return OK


def _print(asked: list[Outcome[GarbageCollected]]) -> None:
    several = len(asked) > 1
    found = [(one.hive_id, one.result) for one in asked if one.result is not None]
    rows = [
        (item.what, byte_size(item.size_bytes), item.why, *([name] if several else []))
        for name, result in found
        for item in result.removed
    ]
    if rows:
        headings = ("WHAT", "SIZE", "WHY", *(["HIVE"] if several else []))
        print_table(headings, rows, right={"SIZE"}, sentences="WHY")
    for name, result in found:
        freed = byte_size(result.freed_bytes)
        done = f"{freed} would be freed" if result.dry_run else f"{freed} were freed"
        say(line(f"{f'{name}: ' * several}{done if result.removed else 'Nothing to delete'}."))
