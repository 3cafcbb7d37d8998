"""The list of hives for commands: asked of the queen, or read from its data base when no queen runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from rbee.beehives import Beehive, BeehiveChanges, Entered
from rbee.cli.context import Context
from rbee.cli.locate import find_queen
from rbee.clients import BeehivesClient, Transport
from rbee.clients.who import QUEEN

T = TypeVar("T")


class BeehiveAccess(Protocol):
    """What queen and data base both offer; errors as `BeehiveRegistry` raises them."""

    async def enter(self, beehives: Sequence[BeehiveChanges], *, update: bool = False) -> Entered:
        """Enter machines, all or none."""

    async def list(self) -> list[Beehive]:
        """All machines, by name."""

    async def get(self, node_name: str) -> Beehive:
        """One machine."""

    async def remove(self, node_name: str) -> None:
        """Take a machine out."""


def with_beehives(context: Context, work: Callable[[BeehiveAccess], Awaitable[T]]) -> T:
    """Do something with the list of hives.

    Args:
        context: of the command.
        work: does it.

    Raises:
        RbeeError: as the queen or the registry raise.
    """
    context.check()
    url = find_queen(context)
    return asyncio.run(_in_file(context, work) if url is None else _by_queen(context, url, work))


async def _by_queen(context: Context, url: str, work: Callable[[BeehiveAccess], Awaitable[T]]) -> T:
    transport = Transport(url, context.credentials(), QUEEN)
    try:
        return await work(BeehivesClient(transport))
    finally:
        await transport.close()


async def _in_file(context: Context, work: Callable[[BeehiveAccess], Awaitable[T]]) -> T:
    # Late: with a queen, no data base has to be loaded.
    from rbee.beehives.place import data_base_url
    from rbee.beehives.registry import BeehiveRegistry

    context.folders.make()
    registry = BeehiveRegistry(data_base_url(context.settings, context.folders))
    await registry.open()
    try:
        return await work(registry)
    finally:
        await registry.close()
