"""``rbee model ls``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.asked import ask_hives
from rbee.cli.console import say
from rbee.cli.exits import OK
from rbee.cli.hives import hive_filter
from rbee.cli.model_list import LIST_HEADINGS, list_row
from rbee.cli.outcomes import failures, raise_failures
from rbee.cli.tables import print_table
from rbee.contract.wire import ModelList


@click.command("ls")
@hive_filter
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, hive_id: str | None, all_hives: bool, as_json: bool) -> int:
    """List the models that hives have, and those on their way; without --hive, of all hives."""
    wanted = all_hives or hive_id is None
    asked = ask_hives("model_list", {}, ModelList, hive_id, all_hives=wanted, quiet=True)
    models = [(one.hive_id, model) for one in asked if one.result is not None for model in one.result.models]
    if as_json:
        told = [{"hive_id": name, **msgspec.to_builtins(model)} for name, model in models]
        click.echo(msgspec.json.encode({"models": told, "failed": failures(asked)}).decode())
    elif models:
        several = len(asked) > 1
        rows = [(*list_row(model), *([name] if several else [])) for name, model in models]
        print_table((*LIST_HEADINGS, *(["HIVE"] if several else [])), rows, right={"SIZE", "CONTEXT", "WORKERS"})
    elif any(one.result is not None for one in asked):
        say("No models. Fetch one: rbee pull demo")
    raise_failures(asked)
    return OK
