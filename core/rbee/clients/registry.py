"""The discovery service."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from rbee.clients.transport import Transport
from rbee.contract.wire import Component, ComponentType, LeaseRenewal, Registration, Revocations


class ComponentList(msgspec.Struct, frozen=True):
    """Answer of the registry's lists."""

    components: list[Component] = []


class QueenAnswer(msgspec.Struct, frozen=True):
    """Answer of ``GET /v1/registry/queen``, and part of that to a renewal."""

    queen: Component | None = None


class RegistryEvent(msgspec.Struct, frozen=True):
    """One line of the registry's events.

    Attributes:
        type: joined, changed or left.
        revision: of the registry's store.
        component: whom it is about.
    """

    type: str
    revision: int
    component: Component


class RegistryClient:
    """Register, renew and look up components."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def register(self, registration: Registration) -> Component:
        """Enter or update a component."""
        return await self._transport.call("POST", "/v1/registry/register", Component, body=registration)

    async def renew(self, renewal: LeaseRenewal) -> Component | None:
        """Keep a lease; returns the queen, None when none has a lease.

        Raises:
            NotFoundError: there is no lease to keep any more.
        """
        return (await self._transport.call("POST", "/v1/registry/heartbeat", QueenAnswer, body=renewal)).queen

    async def unregister(self, renewal: LeaseRenewal) -> None:
        """End a lease."""
        await self._transport.call("DELETE", "/v1/registry/unregister", type(None), body=renewal)

    async def components(self, kind: ComponentType | None = None) -> list[Component]:
        """Components with a living lease."""
        paths = {None: "components", "hive": "hives", "worker": "workers"}
        found = await self._transport.call("GET", f"/v1/registry/{paths.get(kind, 'components')}", ComponentList)
        return [one for one in found.components if kind is None or one.component_type == kind]

    async def queen(self) -> Component | None:
        """The queen, None when none has a lease."""
        return (await self._transport.call("GET", "/v1/registry/queen", QueenAnswer)).queen

    async def revoked(self, serials: tuple[str, ...]) -> None:
        """Tell it whose certificates hold no more: all of them, in hexadecimal digits; only the queen may."""
        await self._transport.call("PUT", "/v1/registry/revoked", type(None), body=Revocations(revoked=serials))

    async def events(self) -> AsyncGenerator[RegistryEvent]:
        """Changes as they come: first everything that is there as ``joined``.

        After a break it begins with the whole list again: so who has left meanwhile is known by his absence.

        Raises:
            UnreachableError: the line broke, or said what is no event.
        """
        path = "/v1/registry/events"
        async with self._transport.stream("GET", path) as events:
            async for event in events:
                yield self._transport.decode(event.data, RegistryEvent, f"GET {path}")
