"""``rbee plugin install``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
import msgspec

from rbee.builtin.plugin_packages import Planned, install, place, planned, tool_of
from rbee.cli.commands.plugin.told import RESTART, brings
from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.exits import FAILED, OK
from rbee.cli.format import line
from rbee.cli.words import NOT_EMPTY
from rbee.contract.errors import InvalidRequestError


@click.command("install")
@click.argument("packages", nargs=-1, required=True, type=NOT_EMPTY, metavar="NAME|PATH|WHEEL...")
@click.option("--yes", "-y", is_flag=True, help="Install without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print what was installed as JSON.")
def command(*, packages: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Install a plugin into rbee's own environment.

    \b
    rbee plugin install rbee-foo
    rbee plugin install ./rbee_foo-1.0-py3-none-any.whl
    rbee plugin install ./rbee-foo

    What would be installed is shown first, each file with its sha256, and you are asked.  Exactly these files are
    installed, by uv or pip.  Nothing that rbee needs is changed.  A plugin that does not load is not kept.
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    where = place()
    with tempfile.TemporaryDirectory(prefix="rbee-plugin-", ignore_cleanup_errors=True) as name:
        # The installers tell files by their real paths.
        folder = Path(name).resolve()
        tool = tool_of(where, folder)
        plan = planned(packages, tool, folder, _tell)
        if not plan.artefacts:
            say(f"{', '.join(plan.named)}: installed already. `rbee plugin list` tells more.")
            if as_json:
                click.echo(msgspec.json.encode({"installed": [], "plugins": []}).decode())
            return OK
        _show(plan, f"{tool.name} would install into '{where.prefix}':")
        if not yes and not _agreed():
            say("Nothing was installed.")
            return FAILED
        done = install(plan, tool, where, folder, current().environment(), _tell)
    if as_json:
        told = {"installed": [_plain(one) for one in done.artefacts], "plugins": done.plugins}
        click.echo(msgspec.json.encode(told).decode())
    for plugin in done.plugins:
        _tell(f"Plugin {plugin.name!r} of {plugin.distribution} is installed. It brings: {brings(plugin.registered)}")
    say(RESTART)
    return OK


def _plain(artefact: object) -> dict[str, object]:
    told: dict[str, object] = msgspec.to_builtins(artefact, enc_hook=str)
    told.pop("path")
    return told


def _show(plan: Planned, heading: str) -> None:
    say(heading)
    for one in plan.artefacts:
        old = f" (replaces {one.replaces})" if one.replaces else ""
        _tell(f"  {one.name} {one.version}{old}  {one.file}")
        _tell(f"    sha256:{one.sha256}")


def _agreed() -> bool:
    """What a person answers.

    Raises:
        InvalidRequestError: there is nobody to be asked.
    """
    if not sys.stdin.isatty():
        raise InvalidRequestError(
            "Nothing was installed: there is no terminal to ask on. Compare the hashes and say --yes.", param="yes"
        )
    say("A plugin is code that runs with your rights.")
    return click.confirm("Install?", err=True)


def _tell(text: str) -> None:
    indent = len(text) - len(text.lstrip())
    say(" " * indent + line(text))
