"""``rbee hive uninstall``."""

from __future__ import annotations

import sys

import click

from rbee.cli.remote_hives import dry_run, meant, names_and_all, on_machines, tell
from rbee.contract.errors import InvalidRequestError


@click.command("uninstall")
@names_and_all
@click.option("--purge", is_flag=True, help="Also models, certificates and all else that the hive keeps there.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before models are removed.")
@click.option(
    "--drain", "drain_s", type=click.FloatRange(0, 3600), metavar="SECONDS", help="Open requests may take; 30."
)
@dry_run
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a machine.")
def command(
    *,
    names: tuple[str, ...],
    every: bool,
    purge: bool,
    yes: bool,
    drain_s: float | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Stop the hives of other machines and remove rbee there; models and data stay without --purge.

    The machines stay in the list: `rbee hive rm` takes one out.
    """
    machines = meant(names, every=every)
    if purge and not yes and not dry_run:
        if not sys.stdin.isatty():
            raise InvalidRequestError("Models are removed with --purge, and nobody can be asked here. Say --yes, too.")
        where = machines[0] if len(machines) == 1 else f"{len(machines)} machines"
        click.confirm(f"Remove models and all else of rbee from {where}?", abort=True, err=True)
    fields = {"purge": purge or None, "drain_s": drain_s, "dry_run": dry_run or None}
    return tell(on_machines("hive_uninstall", machines, fields), as_json=as_json, dry_run=dry_run)
