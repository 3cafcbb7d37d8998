"""``rbee plugin remove``."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path

import click
import msgspec

from rbee.builtin.plugin_packages import place, remove, tool_of
from rbee.cli.commands.plugin.told import STAYS
from rbee.cli.console import say
from rbee.cli.words import NOT_EMPTY


@click.command("remove")
@click.argument("name", type=NOT_EMPTY)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, name: str, as_json: bool) -> None:
    """Remove a plugin from rbee's own environment: the package NAME, or the one that brings the plugin NAME.

    Nothing of it is loaded, so one that is broken goes as well.  Packages that it had needed stay.
    """
    where = place()
    with tempfile.TemporaryDirectory(prefix="rbee-plugin-", ignore_cleanup_errors=True) as folder:
        done = remove(name, tool_of(where, Path(folder)), where, Path(folder))
    if as_json:
        click.echo(msgspec.json.encode({"removed": [done.name], "left": done.left}).decode())
    say(f"{done.name} {done.version} is removed.")
    if done.left:
        uninstall = ["uv", "pip", "uninstall", "--python", where.python, *done.left]
        say(f"Nothing else needs {', '.join(done.left)}; to remove that too: {shlex.join(uninstall)}")
    say(STAYS)
