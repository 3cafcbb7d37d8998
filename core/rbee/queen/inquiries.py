"""What the queen asks of a worker of whom she knows no more than that it is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from rbee.clients import Credentials, Transport, WorkerClient
from rbee.clients.who import the_worker
from rbee.contract.errors import RbeeError
from rbee.contract.wire import WorkerHeartbeat
from rbee.queen.tunnels import Roads

log = logging.getLogger(__name__)

_AT_ONCE = 16
_ANSWER_S = 4.0


class Inquiries:
    """Asks workers for their ``GET /info`` in the background, each once at a time.

    A worker that does not answer is not asked again before somebody tells of it anew: its own beat says the same.

    Args:
        credentials: shown to the others.
        take: given each answer.
        wanted: whether a worker is still to be asked when its turn comes: of thousands that are told of at once, most
            have spoken for themselves by then.
        queen_url: introduces the queen to a worker that was given none and finds none.
        roads: lead to the workers.
    """

    def __init__(
        self,
        credentials: Credentials,
        take: Callable[[WorkerHeartbeat], object],
        wanted: Callable[[str], bool] = lambda worker_id: True,
        queen_url: str | None = None,
        roads: Roads | None = None,
    ) -> None:
        self._roads = roads or Roads()
        self._credentials = credentials
        self._wanted = wanted
        self._queen_url = queen_url
        self._take = take
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._closed = False

    def ask(self, worker_id: str, url: str, hive_id: str | None = None) -> None:
        """Begin to ask; harmless while that worker is being asked."""
        if self._closed or worker_id in self._asking:
            return
        task = self._asking[worker_id] = asyncio.create_task(
            self._ask(worker_id, url, hive_id), name=f"info of {worker_id}"
        )
        task.add_done_callback(lambda _: self._asking.pop(worker_id, None))

    async def close(self) -> None:
        """Ask nobody any more."""
        self._closed = True
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, worker_id: str, url: str, hive_id: str | None) -> None:
        async with self._free:
            if not self._wanted(worker_id):
                return
            queen_url = self._queen_url and self._roads.queen_url(hive_id, self._queen_url)
            try:
                road = await self._roads.to(hive_id, url)
            except RbeeError as error:
                log.debug("worker %s: %s", worker_id, error)
                return
            transport = Transport(road, self._credentials, the_worker(worker_id), timeout_s=_ANSWER_S)
            try:
                answer = await WorkerClient(transport).info(queen_url)
                # Another process may have taken the port of one that is gone.
                if answer.worker.id == worker_id:
                    self._take(answer)
            except RbeeError as error:
                log.debug("worker %s: %s", worker_id, error)
            finally:
                await transport.close()
