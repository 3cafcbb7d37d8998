"""``rbee model rm``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.asked import ask_hives
from rbee.cli.console import say
from rbee.cli.exits import OK
from rbee.cli.format import byte_size, line
from rbee.cli.hives import hive_options
from rbee.cli.outcomes import raise_failures
from rbee.cli.words import MODEL
from rbee.contract.wire import ModelDeleted


@click.command("rm")
@click.argument("model", type=MODEL)
@click.option("--force", is_flag=True, help="Stop workers that use it, and end a download of it.")
@hive_options
@click.option("--json", "as_json", is_flag=True, help="Print what was deleted as a JSON list, an object a hive.")
def command(*, model: str, force: bool, hive_id: str | None, all_hives: bool, as_json: bool) -> int:
    """Delete a model from a hive's disk, and what an unfinished download of it has left.

    Files that are used where their owner put them are only forgotten.  A model that workers use is refused without
    --force.
    """
    fields = {"model": model, "force": force or None, "missing_ok": all_hives or None}
    asked = ask_hives("model_delete", fields, ModelDeleted, hive_id, all_hives=all_hives)
    if as_json:
        click.echo(msgspec.json.encode([one.told(model=model) for one in asked]).decode())
    else:
        for one in asked:
            if one.result is not None:
                say(line(f"{f'{one.hive_id}: ' * (len(asked) > 1)}{told(model, one.result)}"))
    if all_hives and not any(one.result.deleted for one in asked if one.result is not None):
        # Where it was not there does not count, unless that was everywhere.
        asked = [one for one in asked if one.result is None]
    raise_failures(asked, anywhere=model if all_hives else None)
    return OK


def told(model: str, done: ModelDeleted) -> str:
    """What became of the room that it took.

    Args:
        model: as it was asked for.
        done: what the hive says.
    """
    if not done.deleted:
        return f"{model}: it was not there."
    if done.freed_bytes is None:
        freed = "how much was freed is not known"
    elif done.freed_bytes:
        freed = f"{byte_size(done.freed_bytes)} were freed"
    elif done.path is None:
        freed = "nothing was freed: it had no files"
    else:
        freed = f"nothing was freed: its files are used elsewhere or are not rbee's ({done.path})"
    stopped = f" Stopped for it: {', '.join(done.stopped)}." if done.stopped else ""
    return f"{model}: {freed}.{stopped}"
