"""The hive's ties to registry and queen: lease, introduction, telemetry, good-byes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from rbee.clients import (
    Membership,
    QueenClient,
    RegistryClient,
    Transport,
    WorkerClient,
    backoff,
    jittered,
    keep_running,
)
from rbee.contract.errors import RbeeError
from rbee.contract.wire import ColonyAddresses, HiveHeartbeat, Registration
from rbee.hive.children import Child
from rbee.hive.supervisor import address
from rbee.settings import Settings

if TYPE_CHECKING:
    from rbee.hive.service import HiveService

log = logging.getLogger(__name__)

_LAST_BEAT_S = 1.0


class Reporter:
    """Tells the queen what the hive measures; works when there is neither queen nor registry.

    Args:
        hive: whom to report of.
        settings: intervals.
        token: the colony's.
        queen_url: None asks the registry.
        registry_url: None for no registry.
    """

    def __init__(
        self,
        hive: HiveService,
        settings: Settings,
        token: str | None,
        queen_url: str | None,
        registry_url: str | None,
    ) -> None:
        self._hive = hive
        self._settings = settings
        self._token = token
        self._registry_url = registry_url
        self._queen_url = queen_url
        self._queen: Transport | None = None
        self._registry_transport = (
            Transport(registry_url, token, "The registry", timeout_s=5.0) if registry_url else None
        )
        self._registry = RegistryClient(self._registry_transport) if self._registry_transport else None
        self._membership = (
            Membership(self._registry, hive.registration, settings.registry.heartbeat_s) if self._registry else None
        )
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Report until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._membership is not None:
                group.create_task(keep_running("the hive's lease", self._membership.run))
            group.create_task(keep_running("reporting to the queen", self._report_forever))

    async def tell_stopping(self, beat: HiveHeartbeat) -> None:
        """The last beat: nothing is to be placed here any more.  Silent when no queen hears it in time."""
        if self._queen is None:
            return
        try:
            async with asyncio.timeout(_LAST_BEAT_S):
                await QueenClient(self._queen).beat_hive(beat)
        except Exception as error:
            log.debug("the queen was not told of the stop: %s", error)

    async def leave(self) -> None:
        """End the lease and close connections."""
        for task in self._sending:
            task.cancel()
        if self._membership is not None:
            await self._membership.leave()
        for transport in (self._queen, self._registry_transport):
            if transport is not None:
                await transport.close()

    async def worker_ready(self, registration: Registration) -> None:
        """The fast path; silent when no queen hears it: the worker's own beats will tell her."""
        queen = await self._find_queen()
        if queen is not None:
            with contextlib.suppress(RbeeError):
                await QueenClient(queen).register_worker(registration)

    async def introduce(self, child: Child) -> None:
        """Tell a worker of an earlier life where queen and registry are now."""
        transport = Transport(address(self._settings, child), self._token, f"Worker {child.worker_id!r}")
        addresses = ColonyAddresses(queen_url=self._queen_url, registry_url=self._registry_url)
        try:
            for wait_s in (0.0, 1.0, 2.0, 4.0):
                await asyncio.sleep(wait_s)
                with contextlib.suppress(RbeeError):
                    await WorkerClient(transport).move(addresses)
                    return
            log.warning("worker %s does not answer", child.worker_id)
        finally:
            await transport.close()

    def worker_gone(self, worker_id: str) -> None:
        """A worker's process has ended: the queen is told at once, in the background."""
        task = asyncio.create_task(self._tell_gone(worker_id))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _tell_gone(self, worker_id: str) -> None:
        if self._queen is not None:
            with contextlib.suppress(RbeeError):
                await QueenClient(self._queen).remove_worker(worker_id)

    async def _report_forever(self) -> None:
        waits = backoff()
        introduced = False
        while True:
            queen = await self._find_queen()
            if queen is not None:
                try:
                    if not introduced:
                        await QueenClient(queen).register_hive(self._hive.registration())
                        await QueenClient(queen).beat_hive(await self._hive.measure())
                        introduced = True
                        log.info("reporting to the queen at %s", queen.url)
                    async with contextlib.aclosing(self._hive.beats()) as beats:
                        async for beat in beats:
                            waits = backoff()
                            await QueenClient(queen).beat_hive(beat)
                except RbeeError as error:
                    if introduced:
                        log.warning("queen: %s", error)
                    introduced = False
                    await self._forget_queen()
            await asyncio.sleep(jittered(min(next(waits), 8.0)))

    async def _find_queen(self) -> Transport | None:
        if self._queen is None:
            url = self._queen_url
            if url is None and self._registry is not None:
                with contextlib.suppress(RbeeError):
                    found = await self._registry.queen()
                    url = found.url if found else None
            if url is not None:
                self._queen = Transport(url, self._token, "The queen", timeout_s=5.0)
        return self._queen

    async def _forget_queen(self) -> None:
        queen, self._queen = self._queen, None
        if queen is not None:
            await queen.close()
