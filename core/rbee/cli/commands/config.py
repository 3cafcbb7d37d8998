"""``rbee config``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.console import table_console
from rbee.cli.context import current


@click.group("config")
def command() -> None:
    """Show settings and the files they come from.

    A setting is taken from --set, else its RBEE_* variable, else config.toml, else its default.
    """


@command.command("show")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(*, name: str | None, as_json: bool) -> None:
    """Print every setting, or those whose name begins with NAME: value, source, meaning."""
    settings = [one for one in current().loaded.describe() if one.name.startswith(name or "")]
    if not settings:
        raise click.ClickException(f"There is no setting {name!r}; `rbee config show` lists all.")
    if as_json:
        click.echo(msgspec.json.encode({"settings": settings}).decode())
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("NAME", "VALUE", "FROM", "MEANING"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "NAME")
    for one in settings:
        table.add_row(one.name, _shown(one.value), one.source, one.description)
    table_console().print(table)


@command.command("path")
@click.argument("which", type=click.Choice(["config", "token", "logs", "models", "home"]), default="config")
def path(*, which: str) -> None:
    """Print where a file or folder is."""
    folders = current().folders
    places = {
        "config": folders.config_file,
        "token": folders.token_file,
        "logs": folders.logs,
        "models": folders.models,
        "home": folders.home,
    }
    click.echo(str(places[which]))


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value) or "(none)"
    return "(unset)" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
