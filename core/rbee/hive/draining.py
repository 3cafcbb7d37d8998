"""A hive that is taken out of work: it starts nothing, and its workers finish what they have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from rbee.clients import Credentials, Transport, WorkerClient
from rbee.clients.who import the_worker
from rbee.contract.errors import NoPlacementError, RbeeError
from rbee.contract.wire import HiveDrain, WorkerDrain

_ANSWER_S = 5.0


class Draining:
    """Whether the hive drains; ends with its process.

    Args:
        hive_id: whose.
        workers: addresses of its children, by their ids.
        credentials: shown to the others.
    """

    def __init__(self, hive_id: str, workers: Callable[[], Mapping[str, str]], credentials: Credentials) -> None:
        self._hive_id = hive_id
        self._workers = workers
        self._credentials = credentials
        self.active = False

    def check(self) -> None:
        """Pass when work is taken.

        Raises:
            NoPlacementError: it is not.
        """
        if self.active:
            raise NoPlacementError(
                f"Hive {self._hive_id!r} is draining and starts no workers. Put it back to work: "
                f"rbee hive drain {self._hive_id} --undo"
            )

    async def turn(self, *, on: bool) -> HiveDrain:
        """Begin, or end; to begin again tells how many requests are still open.

        Args:
            on: take no more work.
        """
        self.active = on
        told = await asyncio.gather(*(self._tell(name, url, on=on) for name, url in sorted(self._workers().items())))
        return HiveDrain(
            hive_id=self._hive_id,
            operational_status="draining" if self.active else "ready",
            workers=tuple(told),
        )

    async def keep(self, worker_id: str, url: str) -> None:
        """Tell a worker that has come up meanwhile: it may not have listened yet when the others were told."""
        if self.active:
            await self._tell(worker_id, url, on=True)

    async def _tell(self, worker_id: str, url: str, *, on: bool) -> WorkerDrain:
        transport = Transport(url, self._credentials, the_worker(worker_id), timeout_s=_ANSWER_S)
        try:
            return await WorkerClient(transport).drain(on=on)
        except RbeeError as error:
            # One that is dead or does not listen yet takes no requests either; the others are told all the same.
            return WorkerDrain(worker_id=worker_id, state="unknown", error=error.message)
        finally:
            await transport.close()
