"""Taking workers and hives out of work, and back: at once here, and by word to them, who remember it."""

from __future__ import annotations

from rbee.clients import Credentials, HiveClient, Transport, WorkerClient
from rbee.clients.who import the_hive, the_worker
from rbee.contract.errors import ConflictError, NotFoundError
from rbee.contract.types import WorkerState
from rbee.contract.wire import HiveDrain, WorkerDrain
from rbee.queen.hives import Hives
from rbee.queen.tunnels import Roads
from rbee.telemetry import TelemetryRegistry

_ANSWER_S = 10.0


class Drains:
    """Tells workers and hives.

    Args:
        telemetry: the colony.
        hives: their addresses.
        credentials: shown to the others.
        roads: lead to them.
    """

    def __init__(
        self, telemetry: TelemetryRegistry, hives: Hives, credentials: Credentials, roads: Roads | None = None
    ) -> None:
        self._roads = roads or Roads()
        self._telemetry = telemetry
        self._hives = hives
        self._credentials = credentials

    async def worker(self, worker_id: str, *, on: bool) -> WorkerDrain:
        """Have a worker take no more requests, or take them again.

        Raises:
            NotFoundError: it is not known.
            ConflictError: it has not told its address.
            UnreachableError: it does not answer.
        """
        entry = self._telemetry.get_worker(worker_id)
        if entry is None:
            raise NotFoundError(f"Worker {worker_id!r} is not known; `rbee ps` lists workers.")
        if entry.url is None:
            raise ConflictError(f"Worker {worker_id!r} has not told its address yet; try again in a moment.")
        if on and entry.state.serving:
            # Its own word comes a moment later: until then nothing more is to be sent.
            self._telemetry.set_state(worker_id, WorkerState.DRAINING)
        url = await self._roads.to(entry.hive_id, entry.url)
        transport = Transport(url, self._credentials, the_worker(worker_id), timeout_s=_ANSWER_S)
        try:
            return await WorkerClient(transport).drain(on=on)
        finally:
            await transport.close()

    async def hive(self, hive_id: str, *, on: bool) -> HiveDrain:
        """Have a hive take no more work, with all its workers, or take it again.

        Raises:
            NotFoundError: it is not online.
            UnreachableError: it does not answer.
        """
        hive_id = self._hives.choose(hive_id)
        if on:
            for entry in self._telemetry.list_all_workers():
                if entry.hive_id == hive_id and entry.state.serving:
                    self._telemetry.set_state(entry.worker_id, WorkerState.DRAINING)
        url = await self._roads.to(hive_id, self._hives.address(hive_id))
        transport = Transport(url, self._credentials, the_hive(hive_id), timeout_s=_ANSWER_S)
        try:
            return await HiveClient(transport).drain(on=on)
        finally:
            await transport.close()
