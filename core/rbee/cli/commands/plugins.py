"""``rbee plugins``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.console import say, table_console
from rbee.cli.context import current
from rbee.cli.exits import FAILED, OK
from rbee.cli.format import text


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> int:
    """List installed plugins: version, what each registered, or why it failed.  Exit code 1 when one failed."""
    from rbee.plugins import engine_infos, load_plugins

    plugins = load_plugins(current().plugins_wanted)
    engines = engine_infos(plugins.registrations.engines.things())
    failed = any(record.status == "failed" for record in plugins.records)
    if as_json:
        click.echo(msgspec.json.encode({"plugins": plugins.records, "engines": engines}).decode())
        return FAILED if failed else OK
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("PLUGIN", "PACKAGE", "VERSION", "STATUS", "BRINGS"):
        table.add_column(heading, overflow="fold")
    for record in plugins.records:
        brings = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in record.registered.items())
        table.add_row(
            record.name, text(record.distribution), text(record.version), record.status, record.error or brings
        )
    table_console().print(table)
    for engine in engines:
        if not engine.available:
            say(f"Engine {engine.name} cannot run here: {engine.reason}")
    return FAILED if failed else OK
