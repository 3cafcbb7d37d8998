"""``rbee hive import``."""

from __future__ import annotations

import getpass
from pathlib import Path

import click
import msgspec

from rbee.beehives import Entered, Imported, read_hives_conf, read_ssh_config
from rbee.cli.beehives import BeehiveAccess, with_beehives
from rbee.cli.console import say
from rbee.cli.context import Context, current
from rbee.cli.format import printable
from rbee.contract.errors import ConflictError


@click.command("import")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option(
    "--from",
    "kind",
    type=click.Choice(["ssh-config", "hives.conf"]),
    default="ssh-config",
    help="What the file is; ssh-config when absent.",
)
@click.option("--file", "given", metavar="FILE", help="Which file; ~/.ssh/config or the configuration's hives.conf.")
@click.option("--dry-run", is_flag=True, help="Only say what would be entered.")
@click.option("--update", is_flag=True, help="Change those that are there already.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    *, patterns: tuple[str, ...], kind: str, given: str | None, dry_run: bool, update: bool, as_json: bool
) -> None:
    """Enter machines from an SSH configuration or a hives.conf: all of them, or those whose names match a PATTERN.

    All are entered or, when something is wrong with one, none.
    """
    context = current()
    found = _read(context, kind, None if given is None else Path(given).expanduser()).matching(patterns)
    for note in found.notes:
        say(note)

    async def enter(beehives: BeehiveAccess) -> Entered:
        if not dry_run:
            return await beehives.enter(found.beehives, update=update)
        there = {one.node_name for one in await beehives.list()}
        names = [one.node_name for one in found.beehives]
        present = tuple(name for name in names if name in there)
        if present and not update:
            raise ConflictError(f"These are there already: {', '.join(present)}. Change them with --update.")
        return Entered(added=tuple(name for name in names if name not in there), updated=present)

    entered = with_beehives(context, enter)
    if as_json:
        facts = {**msgspec.structs.asdict(entered), "notes": found.notes, "dry_run": dry_run}
        if dry_run:
            facts["nodes"] = found.beehives
        click.echo(msgspec.json.encode(facts).decode())
        return
    for word, names in (("add", entered.added), ("update", entered.updated)):
        for name in names:
            click.echo(printable(f"{word} {name}"))
    count = len(entered.added) + len(entered.updated)
    say(f"{count} {'would be' if dry_run else 'were'} entered." if count else "There is nothing to enter.")


def _read(context: Context, kind: str, file: Path | None) -> Imported:
    home = Path.home()
    if kind == "hives.conf":
        return read_hives_conf(file or context.folders.config / "hives.conf", home=home)
    return read_ssh_config(file or home / ".ssh" / "config", home=home, local_user=getpass.getuser())
