"""Commands about hives of other machines: which are meant, one job for each, how they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
import msgspec

from rbee.cli.beehives import with_beehives
from rbee.cli.context import current
from rbee.cli.exits import OK
from rbee.cli.format import UNKNOWN, line
from rbee.cli.locate import queen_url
from rbee.cli.loop import run_async
from rbee.cli.outcomes import AT_ONCE, Outcome, job, outcome, raise_failures, together
from rbee.cli.tables import print_table
from rbee.cli.transfers import Row, transferring
from rbee.cli.words import NOT_EMPTY
from rbee.clients import Transport
from rbee.clients.who import QUEEN
from rbee.contract.errors import NotFoundError
from rbee.contract.wire import RemoteHive

F = TypeVar("F", bound=Callable[..., Any])


def names_and_all(function: F) -> F:
    """Decorate a command with ``[NAME]...`` and ``--all``, given as `names` and `every`."""
    function = click.option("--all", "every", is_flag=True, help="All machines that were entered and are enabled.")(
        function
    )
    return click.argument("names", nargs=-1, type=NOT_EMPTY, metavar="[NAME]...")(function)


def dry_run(function: F) -> F:
    """Decorate a command with ``--dry-run``."""
    return click.option("--dry-run", is_flag=True, help="Only say what would be done there.")(function)


def drain_option(function: F) -> F:
    """Decorate a command with ``--drain``, given as `drain_s`."""
    kind = click.FloatRange(0, 3600)
    return click.option("--drain", "drain_s", type=kind, metavar="SECONDS", help="Open requests may take so long; 30.")(
        function
    )


def within_option(function: F) -> F:
    """Decorate a command with ``--within``, given as `within_s`."""
    kind = click.FloatRange(0, 3600, min_open=True)
    return click.option("--within", "within_s", type=kind, metavar="SECONDS", help="The queen must hear by then; 120.")(
        function
    )


def meant(names: Sequence[str], *, every: bool) -> list[str]:
    """Names of the machines that are meant, each once, as typed.

    Raises:
        click.UsageError: none is named, or some and all.
        NotFoundError: there are none.
    """
    if every and names:
        raise click.UsageError("Names and --all exclude each other.")
    if not every and not names:
        raise click.UsageError("Name the hives, or take --all; `rbee hive ls` lists them.")
    if not every:
        return list(dict.fromkeys(names))
    found = [one.node_name for one in with_beehives(current(), lambda beehives: beehives.list()) if one.enabled]
    if not found:
        raise NotFoundError("No machines were entered that are enabled. Enter one: rbee hive add USER@HOST")
    return found


def on_machines(operation: str, names: Sequence[str], fields: Mapping[str, Any]) -> list[Outcome[RemoteHive]]:
    """Have the queen carry out an operation on each machine at the same time, with a line for each on a terminal.

    Interrupted, all are cancelled, and leave their machines as they were.

    Args:
        operation: its name.
        names: of the machines.
        fields: of its body; None values are left out.

    Raises:
        NotRunningError: there is no colony.
    """
    context = current()
    url = queen_url(context)
    several = len(names) > 1

    async def all_of_them(rows: Mapping[str, Row]) -> list[Outcome[RemoteHive]]:
        transport = Transport(url, context.credentials(), QUEEN)
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> Outcome[RemoteHive]:
            async with turn:
                work = job(transport, operation, {**fields, "hive_id": name}, RemoteHive, rows[name])
                found = await outcome(name, f"hive {name}", work)
            rows[name].ended(well=found.error is None)
            if several:
                rows[name].note("done" if found.error is None else found.error.message)
            return found

        try:
            return await together([one(name) for name in names])
        finally:
            await transport.close()

    with transferring() as display:
        rows = {name: display.row(name, name if several else "") for name in names}
        return run_async(all_of_them(rows))


def tell(asked: Sequence[Outcome[RemoteHive]], *, as_json: bool, dry_run: bool = False) -> int:
    """Print what became of an operation; returns the exit code.

    Raises:
        RbeeError: it failed somewhere.
    """
    if as_json:
        click.echo(msgspec.json.encode([one.told() for one in asked]).decode())
    elif dry_run:
        for one in asked:
            for sentence in () if one.result is None else one.result.plan:
                click.echo(line(f"{one.hive_id}: {sentence}" if len(asked) > 1 else sentence))
    else:
        rows = [_row(one.result) for one in asked if one.result is not None]
        if rows:
            print_table(("NAME", "MACHINE", "INSTALLED", "RUNS", "BY", "AT BOOT", "QUEEN", "DEVICES"), rows)
    raise_failures(asked)
    return OK


def _row(one: RemoteHive) -> tuple[str, ...]:
    runs = UNKNOWN if not one.running else "yes" if one.pid is None else f"process {one.pid}"
    return (
        one.hive_id,
        one.host,
        one.environment or UNKNOWN,
        runs,
        one.keeper or UNKNOWN,
        "yes" if one.boot else "no",
        "online" if one.online else "does not hear it",
        UNKNOWN if one.devices is None else ",".join(one.devices),
    )
