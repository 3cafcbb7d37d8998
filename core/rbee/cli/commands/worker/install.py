"""``rbee worker install``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.asked import ask_hives
from rbee.cli.console import say
from rbee.cli.engine_list import source
from rbee.cli.exits import OK
from rbee.cli.format import line
from rbee.cli.hives import hive_options
from rbee.cli.outcomes import raise_failures
from rbee.cli.words import NOT_EMPTY
from rbee.contract.worker_vendor import WorkerOffer


@click.command("install")
@click.argument("engine", type=NOT_EMPTY)
@click.option(
    "--package",
    type=NOT_EMPTY,
    metavar="NAME",
    help="The package that brings it, for an engine that is not listed: rbee-foo, rbee-foo[engine]>=1.",
)
@click.option("--vendor", type=NOT_EMPTY, metavar="NAME", help="From this vendor; needed where several have it.")
@hive_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, an object a hive.")
def command(
    *, engine: str, package: str | None, vendor: str | None, hive_id: str | None, all_hives: bool, as_json: bool
) -> int:
    """Install ENGINE, so that workers can be started with it; harmless when it is there.

    It gets an environment of its own beside rbee's.  The hive need not be restarted.  Ctrl+C gives up and leaves
    nothing behind.

    \b
    rbee worker install foo
    rbee worker install foo --package 'rbee-foo[engine]>=1' --all-hives
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    fields = {"worker": engine, "package": package, "vendor": vendor}
    asked = ask_hives("worker_install", fields, WorkerOffer, hive_id, all_hives=all_hives)
    if as_json:
        click.echo(msgspec.json.encode([one.told(worker=engine) for one in asked]).decode())
    else:
        several = len(asked) > 1
        for one in asked:
            if one.result is not None:
                version = f" {one.result.version}" if one.result.version else ""
                why = f", and cannot be used: {one.result.reason}" if one.result.available is False else ""
                say(line(f"{f'{one.hive_id}: ' * several}{engine}{version} is installed ({source(one.result)}){why}"))
    raise_failures(asked)
    return OK
