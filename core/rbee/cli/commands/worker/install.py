"""``rbee worker install``."""

from __future__ import annotations

import click

from rbee.cli.engine_list import change_engine, source
from rbee.cli.hives import hive_options
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

    def told(done: WorkerOffer) -> str:
        version = f" {done.version}" if done.version else ""
        why = f", and cannot be used: {done.reason}" if done.available is False else ""
        return f"{engine}{version} is installed ({source(done)}){why}"

    return change_engine("worker_install", fields, told, hive_id, all_hives=all_hives, as_json=as_json)
