"""Machines that commands reach over SSH: by the queen, whose list it is, or from here when no queen runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import click

from rbee.beehives import BeehiveChanges
from rbee.cli.agreeing import ANY_KEY
from rbee.cli.beehives import BeehiveAccess, with_beehives
from rbee.cli.console import Talk, say
from rbee.cli.context import Context
from rbee.cli.format import line
from rbee.cli.locate import find_queen
from rbee.cli.loop import run_async
from rbee.cli.outcomes import Outcome, job, outcome, together
from rbee.clients import Transport
from rbee.clients.who import QUEEN
from rbee.contract.errors import ConflictError
from rbee.remote.arriving import Examined, Surroundings, arrive, examine

T = TypeVar("T")


def connected(context: Context, changes: BeehiveChanges, *, update: bool, accept: str | None) -> Examined | None:
    """Log in on a machine and enter it; a person is asked about a host key that nobody has agreed on.

    Args:
        context: of the command.
        changes: what is said of the machine.
        update: change one of that name.
        accept: the fingerprint that was agreed on; `ANY_KEY` for whichever it shows.

    Returns:
        What was found; None when the person did not agree, and nothing was entered.

    Raises:
        ConflictError: the key is to be agreed on, and there is no terminal to ask on.
        RbeeError: it cannot be reached, or something is out of bounds.
    """
    try:
        return _once(context, changes, update=update, accept=accept)
    except ConflictError as error:
        fingerprint = error.details.get("fingerprint")
        # The key of a machine on the way is agreed on by entering that one.
        ours = error.details.get("cause") == "key_unknown" and error.details.get("host") == changes.node_name
        if not ours or not isinstance(fingerprint, str) or not sys.stdin.isatty():
            raise
        say(line(f"{error.details.get('host')} shows a host key that nobody has agreed on:"))
        say(line(f"  {error.details.get('key_type')} {fingerprint}"))
        say("Compare it with what `ssh-keygen -lf` says on that machine of its host key's file.")
        if not click.confirm("Is it the right one?", err=True):
            say("Nothing was entered.")
            return None
    return _once(context, changes, update=update, accept=fingerprint)


def _once(context: Context, changes: BeehiveChanges, *, update: bool, accept: str | None) -> Examined:
    fingerprint = None if accept == ANY_KEY else accept
    url = find_queen(context)
    if url is not None:
        node = {"node_name": changes.node_name, **changes.said()}
        fields = {"node": node, "update": update, "accept_fingerprint": fingerprint, "accept_any": accept == ANY_KEY}
        return run_async(_by_queen(context, url, "hive_connect", fields))

    async def from_here(beehives: BeehiveAccess) -> Examined:
        return await arrive(
            changes, beehives, Surroundings(), say, update=update, accept=fingerprint, accept_any=accept == ANY_KEY
        )

    return with_beehives(context, from_here)


async def _by_queen(context: Context, url: str, operation: str, fields: dict[str, Any]) -> Examined:
    transport = Transport(url, context.credentials(), QUEEN)
    try:
        return await job(transport, operation, fields, Examined, Talk())
    finally:
        await transport.close()


def examined(context: Context, names: Sequence[str]) -> list[Outcome[Examined]]:
    """Look at machines that were entered, all at the same time.

    Args:
        context: of the command.
        names: of the machines.
    """
    url = find_queen(context)
    if url is None:

        async def from_here(beehives: BeehiveAccess) -> list[Outcome[Examined]]:
            others = await beehives.list()

            async def one(name: str) -> Examined:
                return await examine(await beehives.get(name), others, Surroundings(), say)

            return await together([outcome(name, f"hive {name}", one(name)) for name in names])

        return with_beehives(context, from_here)
    queen = url

    async def asked() -> list[Outcome[Examined]]:
        def work(name: str) -> Any:
            return _by_queen(context, queen, "hive_doctor", {"hive_id": name})

        return await together([outcome(name, f"hive {name}", work(name)) for name in names])

    return run_async(asked())
