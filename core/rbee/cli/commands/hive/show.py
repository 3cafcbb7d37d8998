"""``rbee hive show``."""

from __future__ import annotations

import click
import msgspec

from rbee.beehives import HIVE_PORT, SSH_PORT
from rbee.cli.beehives import with_beehives
from rbee.cli.commands.hive.ls import last_contact, reach
from rbee.cli.context import current
from rbee.cli.format import UNKNOWN, line, text


@click.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, name: str, as_json: bool) -> None:
    """Show one hive that was entered."""
    one = with_beehives(current(), lambda beehives: beehives.get(name))
    if as_json:
        click.echo(msgspec.json.encode(one).decode())
        return
    facts = {
        "name": one.node_name,
        "status": one.status,
        "reach": reach(one),
        "reach wanted": one.reach_wanted or "auto",
        "tunnel port": text(one.tunnel_port),
        "last contact": last_contact(one),
        "enabled": "yes" if one.enabled else "no",
        "host": text(one.ssh_host),
        "hive port": str(one.hive_port or HIVE_PORT),
        "ssh port": str(one.ssh_port or SSH_PORT),
        "ssh user": text(one.ssh_user),
        "ssh key": text(one.ssh_key_path),
        "host key": text(one.host_key_fingerprint),
        "backends": UNKNOWN if one.backends is None else ", ".join(one.backends),
        "devices": UNKNOWN if one.devices is None else ", ".join(one.devices),
        "labels": ", ".join(f"{key}={value}" for key, value in sorted(one.labels.items())) or UNKNOWN,
        "repository": text(one.git_repo_url),
        "branch": text(one.git_branch),
        "install path": text(one.install_path),
        "entered": text(one.created_at),
        "changed": text(one.updated_at),
    }
    for key, value in facts.items():
        click.echo(f"{key:<13} {line(value)}")
