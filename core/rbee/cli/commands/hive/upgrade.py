"""``rbee hive upgrade``."""

from __future__ import annotations

from typing import Any

import click

from rbee.cli.commands.hive.install import install
from rbee.cli.remote_hives import dry_run, names_and_all, within_option
from rbee.cli.words import FILE, NOT_EMPTY


@click.command("upgrade")
@names_and_all
@click.option(
    "--from",
    "source",
    type=click.Choice(["auto", "index", "wheelhouse"]),
    default="auto",
    show_default=True,
    help="Packages come from the package index there, or are sent; auto: the index where it answers.",
)
@click.option("--bundle", type=FILE, metavar="PATH", help="A bundle on the queen's machine instead of what she runs.")
@click.option("--plugin", "plugins", type=NOT_EMPTY, multiple=True, help="Only this plugin; may be repeated.")
@within_option
@dry_run
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a machine.")
def command(*, names: tuple[str, ...], every: bool, as_json: bool, **given: Any) -> int:
    """Bring the machines that were entered as NAME to the version of rbee that the queen's machine has.

    As `rbee hive install`: their hives finish their work first, and a version that does not come up is taken back.
    """
    return install("hive_upgrade", names, every=every, as_json=as_json, **given)
