"""The discovery service."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from rbee.clients.transport import Transport
from rbee.contract.wire import Component, ComponentType, LeaseRenewal, Registration


class ComponentList(msgspec.Struct, frozen=True):
    """Answer of the registry's lists."""

    components: list[Component] = []


class RegistryEvent(msgspec.Struct, frozen=True):
    """One line of the registry's events; `type` is joined, changed or left."""

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

    async def renew(self, renewal: LeaseRenewal) -> None:
        """Keep a lease; raises NotFoundError when there is none any more."""
        await self._transport.call("POST", "/v1/registry/heartbeat", dict, body=renewal)

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
        found = await self.components("queen")
        return found[0] if found else None

    async def events(self) -> AsyncGenerator[RegistryEvent]:
        """Changes as they come: first everything that is there as ``joined``.

        Raises:
            UnreachableError: the line broke, or said what is no event.
        """
        path = "/v1/registry/events"
        async with self._transport.stream("GET", path) as events:
            async for event in events:
                yield self._transport.decode(event.data, RegistryEvent, f"GET {path}")
