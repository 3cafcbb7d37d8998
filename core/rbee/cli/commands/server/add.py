"""``rbee server add``."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from rbee.builtin.openai_server import Connection, Connections, ServedModel
from rbee.builtin.openai_server.asking import queen_behind, served
from rbee.builtin.openai_server.connection import base_url, checked_key, checked_name
from rbee.cli.console import say
from rbee.cli.context import Context, current
from rbee.cli.format import line
from rbee.cli.locate import find_queen
from rbee.cli.loop import run_async
from rbee.cli.servers import shown
from rbee.cli.words import NOT_EMPTY
from rbee.clients import QueenClient, Transport
from rbee.clients.who import QUEEN
from rbee.contract.errors import InvalidRequestError, NotFoundError, RbeeError


@click.command("add")
@click.argument("name", type=NOT_EMPTY)
@click.argument("url", type=NOT_EMPTY)
@click.option("--model", "models", multiple=True, metavar="ID", help="Take this model only; may be repeated.")
@click.option(
    "--embeddings", multiple=True, metavar="ID", help="Take this model, which is made for embeddings; may be repeated."
)
@click.option("--slots", type=click.IntRange(1, 1024), metavar="N", help="Requests it is given at the same time.")
@click.option("--key-stdin", is_flag=True, help="Read its key from standard input; on a terminal, ask for it.")
@click.option("--key-file", type=click.Path(dir_okay=False, path_type=Path), help="Read its key from a file.")
@click.option("--no-key", is_flag=True, help="Forget the key that it had.")
@click.option("--replace", is_flag=True, help="Replace the server of that name; its key stays, at the same address.")
@click.option("--json", "as_json", is_flag=True, help="Print the server as JSON.")
def command(
    *,
    name: str,
    url: str,
    models: tuple[str, ...],
    embeddings: tuple[str, ...],
    slots: int | None,
    key_stdin: bool,
    key_file: Path | None,
    no_key: bool,
    replace: bool,
    as_json: bool,
) -> None:
    """Let a server that runs already and speaks OpenAI's API join the colony.

    \b
    rbee server add box http://10.0.0.5:8000/v1
    rbee server add cloud https://api.example.com/v1 --key-stdin --model big-model
    rbee run openai:box/MODEL "hello"

    URL is the base of its API, as OpenAI's clients take it.  It is asked which models it serves.  The key is kept in a
    file that only you can read.
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    if key_stdin + (key_file is not None) + no_key > 1:
        raise click.UsageError("--key-stdin, --key-file and --no-key exclude each other.")
    connections = Connections.of(current().environment())
    checked_name(name)
    base = base_url(url)
    before = _before(connections, name) if replace else None
    key: str | None
    if key_stdin:
        key = checked_key(_asked())
    elif key_file is not None:
        key = checked_key(_read(key_file))
    else:
        key = _kept_key(before, base) if before and not no_key else None
    connection = Connection(name=name, url=base, key=key, slots=slots or (before.slots if before else None))
    _refuse_ourselves(connection)
    connection = msgspec.structs.replace(connection, models=_models(connection, models, embeddings))
    connections.add(connection, replace=replace)
    if as_json:
        click.echo(msgspec.json.encode(shown(connection)).decode())
        return
    count = len(connection.models)
    say(
        line(
            f"Server {name!r} at {connection.url} is known, with {count} model{'' if count == 1 else 's'}. "
            f"Prompts for them go there. Try it: rbee run openai:{name}/{connection.models[0].id}"
        )
    )


def _refuse_ourselves(connection: Connection) -> None:
    """See that the server is not this colony's own queen, by whatever address: her requests would come back to her.

    Raises:
        InvalidRequestError: it is.
    """
    context = current()
    queen = find_queen(context)
    if queen is None:
        return
    theirs = queen_behind(connection)
    if theirs is not None and theirs == run_async(_identity(context, queen)):
        raise InvalidRequestError(
            f"{connection.url} is this colony's own queen; her models need no server. Use them by their own names: "
            "rbee model ls",
            param="url",
        )


async def _identity(context: Context, url: str) -> str | None:
    """The `instance_id` of the colony's queen; None where she does not answer this home."""
    transport = Transport(url, context.credentials(), QUEEN)
    try:
        return str((await QueenClient(transport).info()).get("instance_id"))
    except RbeeError:
        return None
    finally:
        await transport.close()


def _before(connections: Connections, name: str) -> Connection | None:
    try:
        return connections.get(name)
    except NotFoundError:
        return None


def _kept_key(before: Connection, url: str) -> str | None:
    """The key that a server had, if it is still where it was.

    Raises:
        InvalidRequestError: it is elsewhere: whoever listens there would be told the key.
    """
    if before.key is not None and Connection(name=before.name, url=url).origin != before.origin:
        raise InvalidRequestError(
            f"The key of {before.name!r} is for {before.origin}, and is not sent elsewhere unasked; give it again with "
            "--key-stdin or --key-file, or leave it out with --no-key.",
            param="key",
        )
    return before.key


def _models(connection: Connection, models: tuple[str, ...], embeddings: tuple[str, ...]) -> tuple[ServedModel, ...]:
    """Those that were named, or all that the server lists.

    Raises:
        EngineUnavailableError: it does not answer.
        InvalidRequestError: there is none, or one that was named is not there.
    """
    listed = {one.id: one for one in served(connection)}
    for model in (*models, *embeddings):
        if listed and model not in listed:
            raise InvalidRequestError(
                f"The server at {connection.url} has no model {model!r}. It has: {', '.join(sorted(listed)[:10])}.",
                param="model",
            )
    plain = {model: listed.get(model, ServedModel(id=model)) for model in (*models, *embeddings)}
    wanted = [plain[model] for model in models]
    wanted += [msgspec.structs.replace(plain[model], embeddings=True) for model in embeddings]
    if not models:
        wanted += [one for one in listed.values() if one.id not in embeddings]
    if not wanted:
        raise InvalidRequestError(
            f"The server at {connection.url} lists no models; name one that it serves with --model.", param="model"
        )
    return tuple(dict.fromkeys(wanted))


def _asked() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Key", hide_input=True, err=True))
    return sys.stdin.read(8192)


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(8192)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"The key file '{path}' cannot be read: {error}.", param="key") from error
