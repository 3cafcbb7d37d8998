"""``rbee hive restart``."""

from __future__ import annotations

import click

from rbee.cli.remote_hives import dry_run, meant, names_and_all, on_machines, tell, within_option


@click.command("restart")
@names_and_all
@click.option(
    "--drain", "drain_s", type=click.FloatRange(0, 3600), metavar="SECONDS", help="Open requests may take; 30."
)
@within_option
@dry_run
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a machine.")
def command(
    *,
    names: tuple[str, ...],
    every: bool,
    drain_s: float | None,
    within_s: float | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Let the hives of other machines finish their work, stop them, and start them."""
    fields = {"drain_s": drain_s, "within_s": within_s, "dry_run": dry_run or None}
    return tell(on_machines("hive_restart", meant(names, every=every), fields), as_json=as_json, dry_run=dry_run)
