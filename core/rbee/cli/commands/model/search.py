"""``rbee model search``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.asked import ask_colony
from rbee.cli.console import say
from rbee.cli.exits import FAILED, OK
from rbee.cli.format import UNKNOWN, line
from rbee.cli.model_list import shortened
from rbee.cli.tables import print_table
from rbee.cli.words import NOT_EMPTY
from rbee.contract.errors import InvalidRequestError
from rbee.contract.vendor import ModelHit
from rbee.contract.wire import ModelsFound


@click.command("search")
@click.argument("text", metavar="TEXT...", type=NOT_EMPTY, nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, metavar="N", help="At most N.")
@click.option("--hive", "hive_id", type=NOT_EMPTY, metavar="ID", help="Ask the vendors on that hive, not the queen's.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, text: tuple[str, ...], limit: int, hive_id: str | None, as_json: bool) -> int:
    """Look for models where they are published.  Exit code 1 when a source does not answer and none was found."""
    query = " ".join(text).strip()
    if not query.isprintable() or not query:
        raise InvalidRequestError("Name a part of a model's name, as in: rbee model search qwen")
    found = ask_colony("model_search", {"query": query, "limit": limit, "hive_id": hive_id}, ModelsFound, quiet=True)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    elif found.models:
        headings = ("NAME", "VENDOR", "FORMATS", "DOWNLOADS", "LIKES", "UPDATED", "ABOUT")
        print_table(headings, [_row(one) for one in found.models], right={"DOWNLOADS", "LIKES"}, whole={"UPDATED"})
    for vendor, why in found.failed.items():
        say(line(f"{vendor} could not be asked: {why}"))
    if not found.models and not as_json:
        say(f"No model was found for {query!r}.")
    return FAILED if found.failed and not found.models else OK


def _row(hit: ModelHit) -> tuple[str, ...]:
    about = ["must be accepted there first"] if hit.gated else []
    about += [shortened(hit.summary)] if hit.summary else []
    return (
        hit.name,
        hit.vendor,
        ", ".join(hit.formats) or UNKNOWN,
        _count(hit.downloads),
        _count(hit.likes),
        UNKNOWN if hit.updated_at is None else hit.updated_at.date().isoformat(),
        "; ".join(about),
    )


def _count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"
