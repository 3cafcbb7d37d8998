"""``rbee pull``, which is ``rbee model pull`` too."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.context import current
from rbee.cli.exits import INTERRUPTED, OK
from rbee.cli.fetching import Pulled, fetch
from rbee.cli.hives import check_hive_options, hive_options, target_hives
from rbee.cli.outcomes import raise_failures
from rbee.cli.pulling import told
from rbee.cli.words import MODEL


@click.command("pull")
@click.argument("models", metavar="MODEL...", type=MODEL, nargs=-1, required=True)
@hive_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, an object a hive and model.")
def command(*, models: tuple[str, ...], hive_id: str | None, all_hives: bool, as_json: bool) -> int:
    """Fetch MODEL to a hive's disk, so that it is there before it is asked for.

    A running colony is used; otherwise one is started for the occasion and stopped again.  After Ctrl+C the same
    command goes on from what has come.

    \b
    rbee pull demo
    rbee pull org/repo:Q4_K_M --all-hives
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    check_hive_options(hive_id, all_hives=all_hives)
    context = current()

    def choose(queen_url: str) -> list[str]:
        return target_hives(context, queen_url, hive_id, all_hives)

    pulled = fetch(context, tuple(dict.fromkeys(models)), choose)
    if pulled is None:
        return INTERRUPTED
    if as_json:
        click.echo(msgspec.json.encode([one.told(model=model) for model, one in pulled]).decode())
    else:
        _print(pulled)
    raise_failures([one for _, one in pulled])
    return OK


def _print(pulled: Pulled) -> None:
    several = len({one.hive_id for _, one in pulled}) > 1
    for model, one in pulled:
        if one.result is not None:
            click.echo(f"{f'{one.hive_id}: ' * several}{told(model, one.result)}")
