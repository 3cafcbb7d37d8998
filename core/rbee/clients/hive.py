"""A hive's routes."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from rbee.clients.jobs import JobsClient
from rbee.clients.transport import Transport, segment
from rbee.contract.wire import HiveCapabilities, HiveTelemetry, LogPart


class HiveClient:
    """What the queen asks of a hive."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.jobs = JobsClient(transport)

    async def capabilities(self, queen_url: str | None = None) -> HiveCapabilities:
        """Devices and engines.

        Args:
            queen_url: introduces the queen to a hive that has none.
        """
        query = {"queen_url": queen_url} if queen_url is not None else None
        return await self._transport.call("GET", "/v1/capabilities", HiveCapabilities, query=query)

    async def shutdown(self, *, keep_workers: bool = False) -> None:
        """Stop the hive.

        Args:
            keep_workers: leave workers running that serve.
        """
        query = {"keep_workers": "true"} if keep_workers else None
        await self._transport.call("POST", "/v1/shutdown", dict, query=query)

    async def telemetry(self) -> AsyncGenerator[HiveTelemetry]:
        """What the hive measures, every second, until it stops.

        Raises:
            UnreachableError: the line broke or fell silent, or said what is no telemetry.
        """
        path = "/v1/heartbeats/stream"
        async with self._transport.stream("GET", path) as events:
            async for event in events:
                yield self._transport.decode(event.data, HiveTelemetry, f"GET {path}")

    async def worker_log(self, worker_id: str, lines: int = 200, after: str | None = None) -> LogPart:
        """A part of a worker's log.

        Args:
            worker_id: whose.
            lines: how many of the last ones; 0 for all that fit an answer.
            after: instead, what was written behind an earlier part.

        Raises:
            NotFoundError: the hive has no such log.
        """
        query = {"lines": str(lines)} if after is None else {"after": after}
        return await self._transport.call("GET", f"/v1/workers/{segment(worker_id)}/log", LogPart, query=query)
