"""``rbee plugins``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.exits import FAILED, OK
from rbee.cli.format import text
from rbee.cli.tables import print_table

if TYPE_CHECKING:
    from rbee.plugins import PluginRecord


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
    print_table(("PLUGIN", "PACKAGE", "VERSION", "STATUS", "BRINGS"), [_row(record) for record in plugins.records])
    for engine in engines:
        if not engine.available and not engine.optional:
            say(f"Engine {engine.name} cannot run here: {engine.reason}")
        if engine.note is not None:
            say(f"Engine {engine.name}: {engine.note}")
    return FAILED if failed else OK


def _row(record: PluginRecord) -> tuple[str, ...]:
    brings = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in record.registered.items())
    return (record.name, text(record.distribution), text(record.version), record.status, record.error or brings)
