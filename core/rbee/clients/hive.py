"""A hive's routes."""

from __future__ import annotations

from rbee.clients.jobs import JobsClient
from rbee.clients.transport import Transport
from rbee.contract.wire import HiveCapabilities


class HiveClient:
    """What the queen asks of a hive."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.jobs = JobsClient(transport)

    async def capabilities(self) -> HiveCapabilities:
        """Devices and engines."""
        return await self._transport.call("GET", "/v1/capabilities", HiveCapabilities)
