"""``rbee hive ls``."""

from __future__ import annotations

import time

import click
import msgspec

from rbee.beehives import HIVE_PORT, Beehive
from rbee.cli.beehives import with_beehives
from rbee.cli.console import say, table_console
from rbee.cli.context import current
from rbee.cli.format import UNKNOWN, duration, printable, text


@click.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """List the hives that were entered, and how the last contact with each went."""
    found = with_beehives(current(), lambda beehives: beehives.list())
    if as_json:
        click.echo(msgspec.json.encode({"nodes": found}).decode())
        return
    if not found:
        say("No hives were entered. Enter one: rbee hive add USER@HOST")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("NAME", "HOST", "PORT", "STATUS", "REACH", "LAST CONTACT", "DEVICES", "LABELS"):
        table.add_column(heading, justify="right" if heading == "PORT" else "left")
    for one in found:
        table.add_row(*(Text(printable(cell)) for cell in _row(one)))
    table_console().print(table)


def _row(one: Beehive) -> tuple[str, ...]:
    return (
        one.node_name,
        text(one.ssh_host),
        str(one.hive_port or HIVE_PORT),
        one.status if one.enabled else "disabled",
        reach(one),
        last_contact(one),
        UNKNOWN if one.devices is None else ",".join(one.devices),
        ",".join(f"{key}={value}" for key, value in sorted(one.labels.items())) or UNKNOWN,
    )


def reach(one: Beehive) -> str:
    """How its hive is reached; unknown while it is not."""
    return one.reach if one.status == "online" and one.enabled and one.reach else UNKNOWN


def last_contact(one: Beehive) -> str:
    """How long ago its hive last answered."""
    if one.last_connected_unix is None:
        return UNKNOWN
    return f"{duration(max(0.0, time.time() - one.last_connected_unix))} ago"
