"""``rbee model cp``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.context import current
from rbee.cli.exits import INTERRUPTED, OK
from rbee.cli.fetching import fetch
from rbee.cli.format import printable
from rbee.cli.hives import target_hives
from rbee.cli.outcomes import raise_failures
from rbee.cli.pulling import told
from rbee.cli.words import MODEL, NOT_EMPTY
from rbee.contract.errors import InvalidRequestError


@click.command("cp")
@click.argument("model", type=MODEL)
@click.option("--from", "source", type=NOT_EMPTY, required=True, metavar="HIVE", help="The hive that has it.")
@click.option("--to", "target", type=NOT_EMPTY, required=True, metavar="HIVE", help="The hive that gets it.")
@click.option("--json", "as_json", is_flag=True, help="Print what came as a JSON list of one object.")
def command(*, model: str, source: str, target: str, as_json: bool) -> int:
    """Copy a model from one hive to another, as it is there; its vendor is not asked."""
    context = current()

    def choose(queen_url: str) -> list[str]:
        giver, taker = (target_hives(context, queen_url, one, all_hives=False)[0] for one in (source, target))
        if giver == taker:
            raise InvalidRequestError(f"Hive {giver!r} cannot copy to itself; name two hives.")
        return [taker]

    pulled = fetch(context, [model], choose, from_hive=source)
    if pulled is None:
        return INTERRUPTED
    ((_, one),) = pulled
    if as_json:
        click.echo(msgspec.json.encode([one.told(model=model)]).decode())
    elif one.result is not None:
        click.echo(printable(f"{one.hive_id}: {told(model, one.result)}"))
    raise_failures([one])
    return OK
