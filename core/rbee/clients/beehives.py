"""The queen's routes for beehives."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rbee.beehives import Beehive, BeehiveChanges, Entered
from rbee.clients.transport import Transport
from rbee.contract.errors import NotFoundError


class BeehiveList(msgspec.Struct, frozen=True):
    """Answer of ``GET /v2/registry/beehives/list``."""

    nodes: list[Beehive] = []


class BeehivesClient:
    """What an operator asks of the queen."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def enter(self, beehives: Sequence[BeehiveChanges], *, update: bool = False) -> Entered:
        """Enter machines, all or none.

        Raises:
            InvalidRequestError: one is out of bounds.
            ConflictError: one is there already, and `update` is off.
        """
        body = {"nodes": beehives, "update": update}
        return await self._transport.call("POST", "/v2/registry/beehives/import", Entered, body=body)

    async def list(self) -> list[Beehive]:
        """All machines, by name."""
        return (await self._transport.call("GET", "/v2/registry/beehives/list", BeehiveList)).nodes

    async def get(self, node_name: str) -> Beehive:
        """One machine.

        Raises:
            NotFoundError: there is none of that name.
        """
        for one in await self.list():
            if one.node_name == node_name:
                return one
        raise NotFoundError(f"There is no hive {node_name!r} on the list. `rbee hive ls` shows it.")

    async def remove(self, node_name: str) -> None:
        """Take a machine out.

        Raises:
            NotFoundError: there is none of that name.
        """
        await self._transport.call("POST", "/v2/registry/beehives/remove", dict, body={"node_name": node_name})
