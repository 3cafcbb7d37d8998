"""``rbee plugin list``."""

from __future__ import annotations

import click
import msgspec

from rbee.builtin.plugin_packages import ListedPlugin, listed, place
from rbee.cli.context import current
from rbee.cli.exits import FAILED, OK
from rbee.cli.format import text
from rbee.cli.tables import print_table


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> int:
    """List plugins with their packages, and what each brings or why it failed.  Exit code 1 when one failed.

    They are loaded in a process of their own, so this works also where a plugin keeps Python from going on.
    """
    plugins = listed(place(), current().environment())
    if as_json:
        click.echo(msgspec.json.encode({"plugins": plugins}).decode())
    else:
        headings = ("PACKAGE", "VERSION", "PLUGIN", "ENTRY POINT", "STATUS", "BRINGS")
        print_table(headings, [_row(one) for one in plugins])
    return FAILED if any(one.status == "failed" for one in plugins) else OK


def _row(one: ListedPlugin) -> tuple[str, ...]:
    brings = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in one.registered.items())
    point = text(one.entry_point)
    return (text(one.distribution), text(one.version), one.name, point, one.status, one.error or brings)
