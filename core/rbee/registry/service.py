"""The registry's service: leases over a store, and the stop of its endless streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from rbee.contract.presence import PresenceChange, PresenceStore
from rbee.contract.wire import Component, ComponentType, LeaseRenewal, Registration
from rbee.presence import Leases
from rbee.presence.leases import ComponentChange


class RegistryService:
    """Knows no HTTP; one object a registry.

    Args:
        store: opened and closed by `start` and `stop`.
        online_s: seconds a lease holds.
    """

    def __init__(self, store: PresenceStore, online_s: float) -> None:
        self._store = store
        self._leases = Leases(store, online_s)
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Open the store."""
        await self._store.open()

    async def stop(self) -> None:
        """End streams and close the store."""
        self._stopping.set()
        await self._store.close()

    async def register(self, registration: Registration) -> Component:
        """Enter or update a component."""
        return await self._leases.register(registration)

    async def renew(self, renewal: LeaseRenewal) -> None:
        """Keep a lease."""
        await self._leases.renew(renewal)

    async def drop(self, renewal: LeaseRenewal) -> None:
        """End a lease."""
        await self._leases.drop(renewal)

    async def components(self, kind: ComponentType | None = None) -> list[Component]:
        """Components with a living lease."""
        return await self._leases.list(kind)

    async def events(self) -> AsyncGenerator[ComponentChange]:
        """What is there, as ``joined``, then every change; ends when the registry stops."""
        # The revision first: what changes between the two calls is told twice rather than not at all.
        revision = await self._leases.revision()
        for component in await self._leases.list():
            yield ComponentChange(type=PresenceChange.JOINED, revision=revision, component=component)
        async with contextlib.aclosing(self._leases.watch(revision)) as changes:
            stopping = asyncio.ensure_future(self._stopping.wait())
            following: asyncio.Task[ComponentChange] | None = None
            try:
                while True:
                    following = asyncio.create_task(_following(changes))
                    await asyncio.wait([following, stopping], return_when=asyncio.FIRST_COMPLETED)
                    if self._stopping.is_set():
                        return
                    yield following.result()
            finally:
                # Waited for: the changes cannot be closed while somebody draws from them.
                left = [task for task in (stopping, following) if task is not None]
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)


async def _following(changes: AsyncGenerator[ComponentChange]) -> ComponentChange:
    return await anext(changes)
