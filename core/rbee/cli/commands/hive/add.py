"""``rbee hive add``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from rbee.beehives import BeehiveChanges, Entered
from rbee.beehives.beehive import checked
from rbee.cli.agreeing import ANY_KEY
from rbee.cli.beehives import BeehiveAccess, with_beehives
from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.exits import FAILED
from rbee.cli.first_install import first_install, tell, why_not
from rbee.cli.machine_checks import print_checks
from rbee.cli.words import FILE, NOT_EMPTY
from rbee.contract.errors import NotFoundError

if TYPE_CHECKING:
    from rbee.remote.arriving import Examined


@click.command("add")
@click.argument("machine", metavar="[USER@]HOST")
@click.option("--name", metavar="NAME", help="What you call it; HOST when absent.")
@click.option("--ssh-host", metavar="HOST", help="Name or address of the machine; HOST when absent.")
@click.option("--ssh-port", type=int, metavar="PORT", help="Port of its SSH server; 22 when absent.")
@click.option("--ssh-user", metavar="USER", help="Who logs in there.")
@click.option("--identity", "--ssh-key", "ssh_key", metavar="FILE", help="Private key on the queen's machine.")
@click.option("--jump", metavar="[USER@]HOST[:PORT]", help="Machine to go through; several with commas between.")
@click.option("--port", type=int, metavar="PORT", help="Port of its hive; 7835 when absent.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label; may be repeated.")
@click.option("--git-repo", metavar="URL", help="Where rbee comes from on that machine.")
@click.option("--git-branch", metavar="NAME", help="Which branch of it.")
@click.option("--install-path", metavar="PATH", help="Where rbee is there, in a folder rbee-hive of its own.")
@click.option("--host-key", metavar="SHA256:...", help="Fingerprint of its SSH host key.")
@click.option(
    "--accept-fingerprint",
    "accept",
    is_flag=False,
    flag_value=ANY_KEY,
    metavar="[SHA256:...]",
    help="Agree on its host key: on that one, or on whichever it shows at first.",
)
@click.option("--no-connect", is_flag=True, help="Only enter it: do not log in there.")
@click.option(
    "--reach",
    type=click.Choice(["auto", "direct", "tunnel"]),
    help="How the queen reaches it: directly, through an SSH tunnel, or (auto) whichever works.",
)
@click.option("--no-install", is_flag=True, help="Enter it and look at it; install nothing.")
@click.option("--bundle", type=FILE, metavar="PATH", help="Install that bundle instead of what the queen runs.")
@click.option("--plugin", "plugins", type=NOT_EMPTY, multiple=True, help="Install only this plugin; may be repeated.")
@click.option("--disabled", is_flag=True, help="The queen does not try to reach it.")
@click.option("--enabled", is_flag=True, help="She does again.")
@click.option("--update", is_flag=True, help="Change the one of that name; what is not given stays.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    *,
    machine: str,
    name: str | None,
    accept: str | None,
    no_connect: bool,
    no_install: bool,
    bundle: Path | None,
    plugins: tuple[str, ...],
    labels: tuple[str, ...],
    disabled: bool,
    enabled: bool,
    update: bool,
    as_json: bool,
    reach: str | None,
    **given: Any,
) -> None:
    """Log in on a machine over SSH, look at it, enter it into the list of hives, install rbee, and start its hive.

    HOST may be a name of ~/.ssh/config.  Nothing is entered unless the connection stands.  A host key that nobody has
    agreed on is shown, and asked about.  With --update, --disabled or --no-connect nobody logs in there.  Works with
    and without a running queen.
    """
    if disabled and enabled:
        raise click.UsageError("--enabled and --disabled exclude each other.")
    said = {column: given[option] for option, column in _COLUMNS if given[option] is not None}
    if "ssh_key_path" in said:
        # The queen has another working folder than this shell.
        said["ssh_key_path"] = str(Path(said["ssh_key_path"]).expanduser().absolute())
    if accept is not None and accept != ANY_KEY and not _FINGERPRINT.fullmatch(accept):
        raise click.UsageError(
            f"{accept!r} is no fingerprint: SHA256: and 43 characters, as `ssh-keygen -lf` prints it."
        )
    user, _, host = machine.rpartition("@")
    name = name or host
    if user:
        said.setdefault("ssh_user", user)
    if labels:
        said["labels"] = _labels(labels)
    if reach is not None:
        said["reach_wanted"] = None if reach == "auto" else reach
    if disabled or enabled:
        said["enabled"] = enabled

    if not (no_connect or disabled or (update and accept is None)):
        fields = {"bundle": None if bundle is None else str(bundle.expanduser().absolute()), "plugins": plugins or None}
        found = _connect(name, host, said, update=update, accept=accept)
        _install(name, found, fields, wanted=not no_install, as_json=as_json)
        return

    node_name = name

    async def enter(beehives: BeehiveAccess) -> Entered:
        if update:
            await _must_exist(beehives, node_name)
        elif "ssh_host" not in said:
            said["ssh_host"] = host
        return await beehives.enter([checked(BeehiveChanges(node_name=node_name, **said))], update=update)

    entered = with_beehives(current(), enter)
    if as_json:
        click.echo(msgspec.json.encode(entered).decode())
        return
    say(f"Hive {name!r} was {'added' if entered.added else 'changed'}. How it is: rbee hive show {name}")


def _connect(name: str, host: str, said: dict[str, Any], *, update: bool, accept: str | None) -> Examined:
    # Late: what speaks SSH takes long to load.
    from rbee.cli.arriving import connected

    context = current()
    # Agreeing on another key is a change of a machine that was entered, as messages about one tell.
    there = {one.node_name: one for one in with_beehives(context, lambda beehives: beehives.list())}
    known = accept is not None and name in there and name == host and not said
    if not known and "ssh_host" not in said:
        # What the SSH configuration says of it is looked up with each connection.
        said["ssh_alias"] = host
    changes = checked(BeehiveChanges(node_name=name, **said))
    found = connected(context, changes, update=update or known, accept=accept)
    if found is None:
        raise click.exceptions.Exit(FAILED)
    return found


def _install(name: str, found: Examined, fields: dict[str, Any], *, wanted: bool, as_json: bool) -> None:
    """Tell what was found and, on a machine that is new in the list, go on with what `rbee hive install` does."""
    if not as_json:
        print_checks(found.checks)
        say(f"Hive {name!r} was {'added' if found.added else 'changed'}. How it is: rbee hive show {name}")
    installed = None
    if wanted and found.added:
        why = why_not(current(), name, found.checks)
        if why is None:
            installed = first_install(name, fields)
        else:
            say(why)
    if as_json:
        entered = {"added": [name] if found.added else [], "updated": [name] if found.updated else []}
        click.echo(msgspec.json.encode({**entered, "examined": found, "installed": installed}).decode())
    elif installed is not None:
        tell(installed)


_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_COLUMNS = (
    ("jump", "ssh_jump"),
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
