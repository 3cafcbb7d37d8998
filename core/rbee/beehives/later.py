"""The registry of a queen whose operator may never enter a machine: see `storage.Later`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rbee.beehives.beehive import Beehive, BeehiveChanges, BeehiveReach, BeehiveStatus, Entered, Place
from rbee.contract.errors import NotFoundError
from rbee.storage.later import Later

if TYPE_CHECKING:
    from rbee.beehives.registry import BeehiveRegistry


class BeehivesLater:
    """What the queen needs of `BeehiveRegistry`, over a file that is made with the first machine.

    Args:
        place: the file, or the URL of a data base elsewhere, which is opened at once.
    """

    def __init__(self, place: Path | str) -> None:
        def make() -> BeehiveRegistry:
            from rbee.beehives.registry import BeehiveRegistry

            return BeehiveRegistry.at(place) if isinstance(place, Path) else BeehiveRegistry(place)

        self._later = Later(place if isinstance(place, Path) else None, make)

    async def open(self) -> None:
        """Open it, if there is one, a damaged file set aside; raises as `Store.open`."""
        await self._later.left(lambda store: store.list())

    async def close(self) -> None:
        """See `Store.close`."""
        await self._later.close()

    async def enter(self, beehives: Sequence[BeehiveChanges], *, update: bool = False) -> Entered:
        """See `BeehiveRegistry.enter`."""
        return await (await self._later.made()).enter(beehives, update=update)

    async def get(self, node_name: str) -> Beehive:
        """See `BeehiveRegistry.get`."""
        store = await self._later.present()
        if store is None:
            raise unknown(node_name)
        return await store.get(node_name)

    async def list(self) -> list[Beehive]:
        """See `BeehiveRegistry.list`."""
        store = await self._later.present()
        return [] if store is None else await store.list()

    async def remove(self, node_name: str) -> None:
        """See `BeehiveRegistry.remove`."""
        store = await self._later.present()
        if store is None:
            raise unknown(node_name)
        await store.remove(node_name)

    async def set_contact(
        self,
        node_name: str,
        status: BeehiveStatus,
        when: float | None = None,
        *,
        backends: Sequence[str] | None = None,
        devices: Sequence[str] | None = None,
        reach: BeehiveReach | None = None,
        tunnel_port: int | None = None,
        place: Place | None = None,
    ) -> None:
        """See `BeehiveRegistry.set_contact`."""
        store = await self._later.made()
        await store.set_contact(
            node_name,
            status,
            when,
            backends=backends,
            devices=devices,
            reach=reach,
            tunnel_port=tunnel_port,
            place=place,
        )


def unknown(node_name: str) -> NotFoundError:
    """There is no machine of that name."""
    return NotFoundError(f"There is no hive {node_name!r} on the list. `rbee hive ls` shows it.")
