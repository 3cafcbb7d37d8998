"""``rbee hive join``."""

from __future__ import annotations

import asyncio
import sys

import click
import msgspec

from rbee.cli.console import say
from rbee.cli.context import current
from rbee.contract.errors import ConflictError, InvalidRequestError
from rbee.hive import default_hive_id

_STDIN = "-"


@click.command("join")
@click.argument("url")
@click.option("--token", required=True, metavar="TOKEN", help="Of the invitation; works once. - reads it.")
@click.option(
    "--ca-fingerprint", required=True, metavar="SHA256:...", help="Of the colony's authority, as `rbee ca show` has it."
)
@click.option("--name", metavar="NAME", help="The hive's id; the setting hive.id or the machine's name when absent.")
@click.option("--force", is_flag=True, help="Also where this machine is in a colony already.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, url: str, token: str, ca_fingerprint: str, name: str | None, force: bool, as_json: bool) -> None:
    """Let this machine join a colony: `rbee hive invite` on the queen's machine prints this command whole."""
    from rbee.cli.joining import join
    from rbee.trust.identity import Identity

    context = current()
    if token == _STDIN:
        # On a command line it could be read by every user of the machine.
        token = sys.stdin.readline().strip()
        if not token:
            raise InvalidRequestError("There is no token on standard input.", param="token")
    hive_id = name or context.settings.hive.id or default_hive_id()
    known = Identity(context.folders.config / "identity")
    if known.exists and not force:
        raise ConflictError(f"This machine is in a colony already, as hive {known.peer.id!r}. Join anew with --force.")
    context.folders.make()

    def waits(key: str) -> None:
        say(f"Invited; now it is to be approved on the queen's machine: rbee hive approve {hive_id} --key {key}")

    identity = asyncio.run(join(context.folders, url.rstrip("/"), token, ca_fingerprint, hive_id, waits))
    if as_json:
        told = {"hive_id": hive_id, "queen_url": url.rstrip("/"), "expires_at": identity.expires_at}
        click.echo(msgspec.json.encode(told).decode())
        return
    say(f"This machine is hive {hive_id!r} of the colony now. Start it: rbee --set server.host=0.0.0.0 hive start")
