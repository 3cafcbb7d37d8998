"""``rbee model alias``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import click
import msgspec

from rbee.cli.colony import used
from rbee.cli.console import say, talking
from rbee.cli.context import current
from rbee.cli.format import line
from rbee.cli.loop import run_async
from rbee.cli.tables import print_table
from rbee.cli.words import MODEL, NOT_EMPTY
from rbee.clients import AliasesClient, Transport
from rbee.clients.who import QUEEN
from rbee.contract.wire import Alias

T = TypeVar("T")

_STARTING = "Starting a colony for this command"


@click.command("alias")
@click.argument("name", required=False, type=NOT_EMPTY)
@click.argument("model", required=False, type=MODEL)
@click.option("--remove", is_flag=True, help="Forget NAME; its model stays.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, name: str | None, model: str | None, remove: bool, as_json: bool) -> None:
    """Let NAME stand for MODEL, wherever a model is named.  Without MODEL, show what there is.

    \b
    rbee model alias fast org/repo:Q4_K_M
    rbee model alias
    rbee model alias fast --remove
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    if remove:
        if name is None or model is not None:
            raise click.UsageError("--remove takes the NAME of an alias, and nothing else.")
        _remove(name, as_json=as_json)
    elif name is None:
        _print(_asked(AliasesClient.list), as_json=as_json)
    elif model is None:
        _show(name, as_json=as_json)
    else:
        _set(name, model, as_json=as_json)


def _set(name: str, model: str, *, as_json: bool) -> None:
    alias = _asked(lambda aliases: aliases.put(name, model))
    if as_json:
        click.echo(msgspec.json.encode(alias).decode())
        return
    say(line(f"{alias.name} stands for {alias.model}. Try it: rbee run {alias.name}"))


def _show(name: str, *, as_json: bool) -> None:
    alias = _asked(lambda aliases: aliases.get(name))
    click.echo(msgspec.json.encode(alias).decode() if as_json else line(alias.model))


def _remove(name: str, *, as_json: bool) -> None:
    _asked(lambda aliases: aliases.remove(name))
    if as_json:
        click.echo(msgspec.json.encode({"removed": [name]}).decode())
        return
    say(line(f"The alias {name!r} is forgotten; its model stays."))


def _print(aliases: Sequence[Alias], *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"aliases": aliases}).decode())
    elif aliases:
        print_table(("ALIAS", "MODEL"), [(alias.name, alias.model) for alias in aliases], whole={"ALIAS"})
    else:
        say("No aliases. Set one: rbee model alias NAME MODEL")


def _asked(question: Callable[[AliasesClient], Awaitable[T]]) -> T:
    """Ask the queen of a running colony, or of one for the occasion."""
    context = current()

    async def ask(url: str) -> T:
        transport = Transport(url, context.credentials(), QUEEN)
        try:
            return await question(AliasesClient(transport))
        finally:
            await transport.close()

    with talking() as talk, used(context, keep=False, on_start=lambda: talk.note(_STARTING)) as queen_url:
        try:
            return run_async(ask(queen_url))
        finally:
            talk.done()
