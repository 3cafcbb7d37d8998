"""``rbee hive add``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from rbee.beehives import BeehiveChanges, Entered
from rbee.beehives.beehive import checked
from rbee.cli.beehives import BeehiveAccess, with_beehives
from rbee.cli.console import say
from rbee.cli.context import current
from rbee.contract.errors import NotFoundError


@click.command("add")
@click.argument("name")
@click.option("--ssh-host", metavar="HOST", help="Name or address of the machine; NAME when absent.")
@click.option("--ssh-port", type=int, metavar="PORT", help="Port of its SSH server; 22 when absent.")
@click.option("--ssh-user", metavar="USER", help="Who logs in there.")
@click.option("--ssh-key", metavar="FILE", help="Private key on the queen's machine.")
@click.option("--port", type=int, metavar="PORT", help="Port of its hive; 7835 when absent.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label; may be repeated.")
@click.option("--git-repo", metavar="URL", help="Where rbee comes from on that machine.")
@click.option("--git-branch", metavar="NAME", help="Which branch of it.")
@click.option("--install-path", metavar="PATH", help="Where rbee is on that machine.")
@click.option("--host-key", metavar="SHA256:...", help="Fingerprint of its SSH host key.")
@click.option("--disabled", is_flag=True, help="The queen does not try to reach it.")
@click.option("--enabled", is_flag=True, help="She does again.")
@click.option("--update", is_flag=True, help="Change the one of that name; what is not given stays.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    *,
    name: str,
    labels: tuple[str, ...],
    disabled: bool,
    enabled: bool,
    update: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Enter a machine into the list of hives: the queen tries to reach the hive there.

    Works with and without a running queen.
    """
    if disabled and enabled:
        raise click.UsageError("--enabled and --disabled exclude each other.")
    said = {column: given[option] for option, column in _COLUMNS if given[option] is not None}
    if "ssh_key_path" in said:
        # The queen has another working folder than this shell.
        said["ssh_key_path"] = str(Path(said["ssh_key_path"]).expanduser().absolute())
    if labels:
        said["labels"] = _labels(labels)
    if disabled or enabled:
        said["enabled"] = enabled

    async def enter(beehives: BeehiveAccess) -> Entered:
        if update:
            await _must_exist(beehives, name)
        elif "ssh_host" not in said:
            said["ssh_host"] = name
        return await beehives.enter([checked(BeehiveChanges(node_name=name, **said))], update=update)

    entered = with_beehives(current(), enter)
    if as_json:
        click.echo(msgspec.json.encode(entered).decode())
        return
    say(f"Hive {name!r} was {'added' if entered.added else 'changed'}. How it is: rbee hive show {name}")


_COLUMNS = (
    ("ssh_host", "ssh_host"),
    ("ssh_port", "ssh_port"),
    ("ssh_user", "ssh_user"),
    ("ssh_key", "ssh_key_path"),
    ("port", "hive_port"),
    ("git_repo", "git_repo_url"),
    ("git_branch", "git_branch"),
    ("install_path", "install_path"),
    ("host_key", "host_key_fingerprint"),
)


async def _must_exist(beehives: BeehiveAccess, name: str) -> None:
    try:
        await beehives.get(name)
    except NotFoundError as error:
        raise NotFoundError(
            f"There is no hive {name!r} to change; `rbee hive ls` lists them. Enter a new one without --update."
        ) from error


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE, as in room=cellar.", param_hint="--label")
        found[key] = value
    return found
