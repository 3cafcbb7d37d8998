"""``rbee explain``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.exits import OK
from rbee.cli.explained import print_explanation, print_recent
from rbee.cli.format import line
from rbee.cli.locate import queen_url
from rbee.cli.loop import run_async
from rbee.cli.words import NEW_FILE, NOT_EMPTY
from rbee.clients import DecisionsClient, Transport
from rbee.clients.who import QUEEN
from rbee.contract.errors import InvalidRequestError
from rbee.contract.own_files import write_whole

T = TypeVar("T")


@click.command("explain")
@click.argument("request_id", required=False, type=NOT_EMPTY)
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="Requests that are listed."
)
@click.option(
    "--save",
    type=NEW_FILE,
    metavar="FILE",
    help="Write the decisions with all that they were made from to FILE, for `rbee replay`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, request_id: str | None, limit: int, save: Path | None, as_json: bool) -> int:
    """Say why the request REQUEST_ID went where it went.  Without it, list the latest requests.

    The id is in every answer's header X-Request-Id.

    \b
    rbee explain
    rbee explain req-0123456789abcdef
    rbee explain --save decisions.jsonl
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    if save is not None:
        count = _save(save, request_id)
        what = "1 decision" if count == 1 else f"{count} decisions"
        say(line(f"Wrote {what} to {save}. Ask another policy: rbee replay {save} --policy round-robin"))
        return OK
    if request_id is None:
        recent = _asked(lambda decisions: decisions.recent(limit))
        if as_json:
            click.echo(msgspec.json.encode(recent).decode())
        else:
            print_recent(recent)
        return OK
    wanted = request_id
    found = _asked(lambda decisions: decisions.explain(wanted))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        print_explanation(found)
    return OK


def _save(path: Path, request_id: str | None) -> int:
    lines = _asked(lambda decisions: decisions.recorded(request_id))
    try:
        write_whole(path, b"".join(one + b"\n" for one in lines))
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be written: {error.strerror}.") from error
    return len(lines)


def _asked(question: Callable[[DecisionsClient], Awaitable[T]]) -> T:
    """Ask the queen of the running colony: one for the occasion has decided nothing."""
    context = current()

    url = queen_url(context)

    async def ask() -> T:
        transport = Transport(url, context.credentials(), QUEEN)
        try:
            return await question(DecisionsClient(transport))
        finally:
            await transport.close()

    return run_async(ask())
