"""The queen's control routes."""

from __future__ import annotations

from typing import Any

import msgspec

from rbee.clients.certificates import CertificatesClient
from rbee.clients.jobs import JobsClient
from rbee.clients.transport import Transport, segment
from rbee.contract.wire import (
    HiveBeatAnswer,
    HiveDrain,
    HiveHeartbeat,
    Registration,
    WorkerDrain,
    WorkerHeartbeat,
    WorkerRecord,
)

_LONGEST_WORDS = 1000


class WorkerList(msgspec.Struct, frozen=True):
    """Answer of ``GET /v1/workers/list``."""

    workers: list[WorkerRecord] = []


class OnlineHive(msgspec.Struct, frozen=True):
    """A hive in the answer of ``GET /v1/info``."""

    hive_id: str
    url: str | None = None
    online: bool | None = None


class HiveList(msgspec.Struct, frozen=True):
    """What is read of the answer of ``GET /v1/info``."""

    hives: list[OnlineHive] = []


class QueenClient:
    """What spawners, workers and the command line ask of the queen."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.jobs = JobsClient(transport)
        self.certificates = CertificatesClient(transport)

    async def hives(self) -> dict[str, str]:
        """Addresses of the hives that are online, by their ids."""
        found = (await self._transport.call("GET", "/v1/info", HiveList)).hives
        return {one.hive_id: one.url for one in found if one.online and one.url is not None}

    async def register_worker(self, registration: Registration) -> None:
        """The fast path: tell the queen at once."""
        await self._transport.call("POST", "/v1/queen/register-worker", dict, body=registration)

    async def register_hive(self, registration: Registration) -> None:
        """The fast path for a hive."""
        await self._transport.call("POST", "/v1/queen/register-hive", dict, body=registration)

    async def beat_worker(self, beat: WorkerHeartbeat) -> None:
        """A worker's heartbeat."""
        await self._transport.call("POST", "/v1/worker-heartbeat", dict, body=beat, timeout_s=4.0)

    async def beat_hive(self, beat: HiveHeartbeat) -> HiveBeatAnswer:
        """A hive's heartbeat with telemetry; the answer says whether she hears the hive's own stream."""
        return await self._transport.call("POST", "/v1/hive-heartbeat", HiveBeatAnswer, body=beat, timeout_s=4.0)

    async def remove_worker(
        self, worker_id: str, *, instance_id: str | None = None, pid: int | None = None, crashed: str | None = None
    ) -> None:
        """The worker is gone; harmless when it is not known.

        Args:
            worker_id: which.
            instance_id: of the process that is gone: another one that has the id by now stays.
            pid: the same, for who does not know the instance.
            crashed: how its process ended, where nobody wanted that.
        """
        told = {
            "instance_id": instance_id,
            "pid": None if pid is None else str(pid),
            "crashed": None if crashed is None else crashed[:_LONGEST_WORDS],
        }
        query = {name: value for name, value in told.items() if value is not None}
        await self._transport.call("DELETE", f"/v1/workers/{segment(worker_id)}", type(None), query=query or None)

    async def workers(self) -> list[WorkerRecord]:
        """All workers."""
        return (await self._transport.call("GET", "/v1/workers/list", WorkerList)).workers

    async def drain_worker(self, worker_id: str, *, on: bool) -> WorkerDrain:
        """Have a worker take no more requests, or take them again."""
        path = f"/v1/workers/{segment(worker_id)}/drain"
        return await self._transport.call("POST" if on else "DELETE", path, WorkerDrain, timeout_s=20.0)

    async def drain_hive(self, hive_id: str, *, on: bool) -> HiveDrain:
        """Have a hive take no more work, with all its workers, or take it again."""
        path = f"/v1/hives/{segment(hive_id)}/drain"
        return await self._transport.call("POST" if on else "DELETE", path, HiveDrain, timeout_s=20.0)

    async def info(self) -> dict[str, Any]:
        """What the queen says of itself and the colony."""
        return await self._transport.call("GET", "/v1/info", dict)

    async def shutdown(self) -> None:
        """Stop the queen and whatever shares its process."""
        await self._transport.call("POST", "/v1/shutdown", dict)
