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
@click.option(
    "--to",
    "--hive",
    "target",
    type=NOT_EMPTY,
    metavar="HIVE",
    help="The hive that gets it; the only other one when left out.",
)
@click.option("--all-hives", is_flag=True, help="Every other hive that is online gets it.")
@click.option("--json", "as_json", is_flag=True, help="Print what came as a JSON list, an object a hive.")
def command(*, model: str, source: str, target: str | None, all_hives: bool, as_json: bool) -> int:
    """Copy a model from one hive to another, as it is there; its vendor is not asked."""
    if target is not None and all_hives:
        raise click.UsageError("--to and --all-hives exclude each other.")
    context = current()

    def choose(queen_url: str) -> list[str]:
        (giver,) = target_hives(context, queen_url, source, all_hives=False)
        if target is not None:
            (taker,) = target_hives(context, queen_url, target, all_hives=False)
            if giver == taker:
                raise InvalidRequestError(f"Hive {giver!r} cannot copy to itself; name two hives.")
            return [taker]
        others = [one for one in target_hives(context, queen_url, None, all_hives=True) if one != giver]
        if not others:
            raise InvalidRequestError(f"Hive {giver!r} is the only one that is online; there is none to copy to.")
        if len(others) > 1 and not all_hives:
            raise InvalidRequestError(
                f"Several other hives are online: {', '.join(others)}. "
                "Name one with --to, or take all with --all-hives."
            )
        return others

    pulled = fetch(context, [model], choose, from_hive=source)
    if pulled is None:
        return INTERRUPTED
    outcomes = [one for _, one in pulled]
    if as_json:
        click.echo(msgspec.json.encode([one.told(model=model) for one in outcomes]).decode())
    else:
        for one in outcomes:
            if one.result is not None:
                click.echo(printable(f"{one.hive_id}: {told(model, one.result)}"))
    raise_failures(outcomes)
    return OK
