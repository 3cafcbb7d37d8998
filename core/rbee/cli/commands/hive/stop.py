"""``rbee hive stop``."""

from __future__ import annotations

import click

from rbee.cli import apart
from rbee.cli.context import current
from rbee.cli.exits import OK
from rbee.cli.remote_hives import dry_run, meant, names_and_all, on_machines, tell


@click.command("stop")
@names_and_all
@click.option("--keep-workers", is_flag=True, help="Leave workers running that serve; the next start finds them again.")
@click.option(
    "--drain", "drain_s", type=click.FloatRange(0, 3600), metavar="SECONDS", help="Open requests may take; 30."
)
@dry_run
@click.option("--json", "as_json", is_flag=True, help="Print what was stopped as JSON.")
def command(
    *,
    names: tuple[str, ...],
    every: bool,
    keep_workers: bool,
    drain_s: float | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Stop the hive of this machine that runs by itself, and its workers; with NAME, stop those of others.

    The hive of another machine finishes its open requests first, and does not come back with its machine.
    """
    if names or every:
        if keep_workers:
            raise click.UsageError("--keep-workers is for the hive of this machine.")
        fields = {"drain_s": drain_s, "dry_run": dry_run or None}
        return tell(on_machines("hive_stop", meant(names, every=every), fields), as_json=as_json, dry_run=dry_run)
    if dry_run or drain_s is not None:
        raise click.UsageError("--dry-run and --drain are for hives of other machines: name them, or take --all.")
    apart.stop(current(), "hive", as_json=as_json, keep_workers=keep_workers)
    return OK
