"""``rbee model verify``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.asked import ask_hives
from rbee.cli.console import say
from rbee.cli.exits import FAILED, OK
from rbee.cli.format import UNKNOWN, line
from rbee.cli.hives import hive_options
from rbee.cli.outcomes import Outcome, raise_failures
from rbee.cli.tables import print_table
from rbee.cli.words import MODEL
from rbee.contract.wire import ModelVerified


@click.command("verify")
@click.argument("model", type=MODEL)
@hive_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, an object a hive.")
def command(*, model: str, hive_id: str | None, all_hives: bool, as_json: bool) -> int:
    """Read a model's files anew and compare sizes and checksums.  Exit code 1 when one is missing or changed."""
    asked = ask_hives("model_verify", {"model": model}, ModelVerified, hive_id, all_hives=all_hives)
    if as_json:
        click.echo(msgspec.json.encode([one.told(model=model) for one in asked]).decode())
    else:
        _print(asked)
    raise_failures(asked)
    return OK if all(one.result is not None and one.result.intact for one in asked) else FAILED


def _print(asked: list[Outcome[ModelVerified]]) -> None:
    several = len(asked) > 1
    found = [(one.hive_id, one.result) for one in asked if one.result is not None]
    rows = [
        (file.name, file.status, file.detail or UNKNOWN, *([name] if several else []))
        for name, result in found
        for file in result.files
    ]
    if rows:
        headings = ("FILE", "STATUS", "DETAIL", *(["HIVE"] if several else []))
        print_table(headings, rows, whole={"STATUS"}, sentences="DETAIL")
    for name, result in found:
        verdict = "is intact" if result.intact else f"is damaged; fetch it anew: rbee pull {result.name}"
        say(line(f"{f'{name}: ' * several}{result.name} {verdict}."))
