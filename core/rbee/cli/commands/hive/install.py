"""``rbee hive install``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rbee.cli.remote_hives import dry_run, meant, names_and_all, on_machines, tell, within_option
from rbee.cli.words import FILE, NOT_EMPTY


@click.command("install")
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
    """Install rbee on the machines that were entered as NAME, as the queen's machine has it, and start their hives.

    Nobody has to be root there.  What does not come up is taken back: the version before goes on.

    \b
    rbee hive install attic cellar
    rbee hive install --all --dry-run
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    return install("hive_install", names, every=every, as_json=as_json, **given)


def install(
    operation: str,
    names: tuple[str, ...],
    *,
    every: bool,
    as_json: bool,
    source: str,
    bundle: Path | None,
    plugins: tuple[str, ...],
    within_s: float | None,
    dry_run: bool,
) -> int:
    """What ``install`` and ``upgrade`` do; returns the exit code."""
    fields = {
        "source": None if source == "auto" else source,
        # The queen has another working folder than this shell.
        "bundle": None if bundle is None else str(bundle.expanduser().absolute()),
        "plugins": plugins or None,
        "within_s": within_s,
        "dry_run": dry_run or None,
    }
    return tell(on_machines(operation, meant(names, every=every), fields), as_json=as_json, dry_run=dry_run)
