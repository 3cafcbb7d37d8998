"""``rbee hive start``."""

from __future__ import annotations

import click

from rbee.cli import apart
from rbee.cli.context import current
from rbee.cli.remote_hives import dry_run, meant, names_and_all, on_machines, tell, within_option


@click.command("start")
@names_and_all
@click.option("--detach", "-d", is_flag=True, help="Run in the background; returns once it answers.")
@within_option
@dry_run
@click.option("--json", "as_json", is_flag=True, help="Print where it listens as JSON, or an object a machine.")
@click.option("--report-fd", type=int, hidden=True)
def command(
    *,
    names: tuple[str, ...],
    every: bool,
    detach: bool,
    within_s: float | None,
    dry_run: bool,
    as_json: bool,
    report_fd: int | None,
) -> int:
    """Run the hive of this machine by itself, until Ctrl+C or `rbee hive stop`; with NAME, start those of others.

    A hive starts workers on its machine and measures them.  On another machine rbee must have been installed by
    `rbee hive install`; its hive goes on there, and comes back with the machine where that is permitted.
    """
    if names or every:
        if detach:
            raise click.UsageError("--detach is for the hive of this machine; those of others always go on there.")
        fields = {"within_s": within_s, "dry_run": dry_run or None}
        return tell(on_machines("hive_start", meant(names, every=every), fields), as_json=as_json, dry_run=dry_run)
    if dry_run or within_s is not None:
        raise click.UsageError("--dry-run and --within are for hives of other machines: name them, or take --all.")
    return apart.start(current(), "hive", detach=detach, as_json=as_json, report_fd=report_fd)
