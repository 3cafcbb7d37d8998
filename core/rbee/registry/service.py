"""The registry's service: leases over a store, and the stop of its endless streams."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Callable

from rbee.contract.presence import PresenceChange, PresenceStore
from rbee.contract.wire import Component, ComponentType, LeaseRenewal, Registration
from rbee.presence import Leases
from rbee.presence.leases import ComponentChange

_LONGEST_REVISION = 18


class RegistryService:
    """Knows no HTTP; one object a registry.

    Args:
        store: opened and closed by `start` and `stop`.
        online_s: seconds a lease holds.
        ended: told of a worker that has.
        revoked: told the numbers of all certificates that hold no more.
    """

    def __init__(
        self,
        store: PresenceStore,
        online_s: float,
        revoked: Callable[[frozenset[int]], None] = lambda _: None,
    ) -> None:
        self._revoked = revoked
        self._store = store
        self._leases = Leases(store, online_s)
        self._stopping = asyncio.Event()
        self._life = uuid.uuid4().hex[:12]

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

    async def renew(self, renewal: LeaseRenewal) -> Component | None:
        """Keep a lease; returns the queen, so that nobody has to ask for her."""
        await self._leases.renew(renewal)
        return await self.queen()

    async def queen(self) -> Component | None:
        """The queen; None when none has a lease."""
        found = await self._leases.list("queen")
        return found[0] if found else None

    async def drop(self, renewal: LeaseRenewal) -> None:
        """End a lease."""
        await self._leases.drop(renewal)

    def revoke(self, serials: frozenset[int]) -> None:
        """These certificates hold no more, and no others.

        Raises:
            ConfigurationError: that cannot be kept.
        """
        self._revoked(serials)

    async def components(self, kind: ComponentType | None = None) -> list[Component]:
        """Components with a living lease."""
        return await self._leases.list(kind)

    async def events(self, after: str | None = None) -> AsyncGenerator[tuple[str | None, ComponentChange]]:
        """What is there, as ``joined``, then every change; ends when the registry stops.

        Args:
            after: id of the last event that the listener has seen: only what came behind it is told.  Everything is
                told again when this registry has forgotten it, or has been started anew since.

        Yields:
            The event's id and the event.  Within the list the id is None: who breaks off there has not seen it all.
        """
        start = self._revision_of(after)
        while True:
            if start is None:
                # The revision first: what changes between the two calls is told twice rather than not at all.
                start = await self._leases.revision()
                components = await self._leases.list()
                for component in components:
                    whole = self._event_id(start) if component is components[-1] else None
                    yield whole, ComponentChange(type=PresenceChange.JOINED, revision=start, component=component)
            try:
                async with contextlib.aclosing(self._changes(start)) as changes:
                    async for change in changes:
                        yield self._event_id(change.revision), change
            except LookupError:
                start = None
            else:
                return

    def _event_id(self, revision: int) -> str:
        """Revisions of another life of this program may mean something else: its store may have begun anew."""
        return f"{self._life}-{revision}"

    def _revision_of(self, event_id: str | None) -> int | None:
        life, _, number = (event_id or "").partition("-")
        if life != self._life or not (number.isascii() and number.isdecimal()) or len(number) > _LONGEST_REVISION:
            return None
        return int(number)

    async def _changes(self, revision: int) -> AsyncGenerator[ComponentChange]:
        """Changes after a revision, until the registry stops.

        Raises:
            LookupError: the store has forgotten it.
        """
        async with contextlib.aclosing(self._leases.watch(revision)) as changes:
            stopping = asyncio.ensure_future(self._stopping.wait())
            following: asyncio.Task[ComponentChange] | None = None
            try:
                while True:
                    following = asyncio.create_task(_following(changes))
                    await asyncio.wait([following, stopping], return_when=asyncio.FIRST_COMPLETED)
                    if self._stopping.is_set():
                        return
                    try:
                        change = following.result()
                    except StopAsyncIteration:
                        return
                    yield change
            finally:
                # Waited for: the changes cannot be closed while somebody draws from them.
                left = [task for task in (stopping, following) if task is not None]
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)


async def _following(changes: AsyncGenerator[ComponentChange]) -> ComponentChange:
    return await anext(changes)
