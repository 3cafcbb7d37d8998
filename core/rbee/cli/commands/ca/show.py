"""``rbee ca show``."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import msgspec

from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.format import UNKNOWN
from rbee.cli.queen import ask_queen
from rbee.cli.tables import print_table
from rbee.clients import QueenClient
from rbee.contract.wire import AuthorityInfo, IssuedCertificate, IssuedCertificates


@click.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """Show the colony's certificate authority: its fingerprint, told to a machine that joins, and what it signed."""
    found, issued = ask_queen(current(), _ask)
    if as_json:
        told = msgspec.to_builtins(found) | msgspec.to_builtins(issued)
        click.echo(msgspec.json.encode(told).decode())
        return
    click.echo(f"colony        {found.colony}")
    click.echo(f"fingerprint   {found.fingerprint}")
    click.echo(f"ends          {_time(found.expires_at)}")
    click.echo(f"certificates  hold for {found.certificate_hours:g} h and are renewed at half of them")
    if issued.certificates:
        click.echo()
        print_table(
            ("ROLE", "ID", "STATE", "ENDS", "HIVE", "REASON"),
            [_row(one) for one in issued.certificates],
            whole=("ENDS",),
        )
    if not issued.complete:
        say("There are more; these are the first.")


async def _ask(queen: QueenClient) -> tuple[AuthorityInfo, IssuedCertificates]:
    return await queen.certificates.info(), await queen.certificates.issued()


def _row(one: IssuedCertificate) -> tuple[str, ...]:
    state = "valid" if one.expires_at > datetime.now(UTC) else "ended"
    return (
        one.role,
        one.id,
        state if one.revoked_at is None else f"revoked {_time(one.revoked_at)}",
        _time(one.expires_at),
        one.hive_id or UNKNOWN,
        one.reason or UNKNOWN,
    )


def _time(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M %Z}"
