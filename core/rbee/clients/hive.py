"""A hive's routes."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from rbee.clients.jobs import JobsClient
from rbee.clients.transport import Transport, segment
from rbee.contract.wire import HeldModels, HiveCapabilities, HiveDrain, HiveTelemetry, LogPart, ModelStanding


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

    async def drain(self, *, on: bool) -> HiveDrain:
        """Start no workers and have those there are take no more requests, or work again."""
        return await self._transport.call("POST" if on else "DELETE", "/v1/drain", HiveDrain)

    async def telemetry(self) -> AsyncGenerator[HiveTelemetry]:
        """What the hive measures, every second, until it stops.

        Raises:
            UnreachableError: the line broke or fell silent, or said what is no telemetry.
        """
        path = "/v1/heartbeats/stream"
        async with self._transport.stream("GET", path) as events:
            async for event in events:
                yield self._transport.decode(event.data, HiveTelemetry, f"GET {path}")

    async def catalog(self) -> HeldModels:
        """Models that are whole on the hive's disk."""
        return await self._transport.call("GET", "/v1/catalog", HeldModels)

    async def standing(self, key: str, *, checksums: bool = False, timeout_s: float | None = None) -> ModelStanding:
        """How far the hive is with a model.

        Args:
            key: as `HeldModel` has it.
            checksums: of files whose vendor gives none, it is to compute them; takes as long as reading them.
            timeout_s: instead of the transport's.

        Raises:
            NotFoundError: it neither has it nor fetches it.
        """
        query = {"checksums": "true"} if checksums else None
        return await self._transport.call(
            "GET", f"/v1/catalog/{segment(key)}", ModelStanding, query=query, timeout_s=timeout_s
        )

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
