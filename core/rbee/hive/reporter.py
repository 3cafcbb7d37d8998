"""The hive's ties to registry and queen: lease, introduction, telemetry, good-byes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from rbee.clients import (
    Credentials,
    Membership,
    QueenClient,
    QueenLookup,
    RegistryClient,
    Transport,
    WorkerClient,
    backoff,
    jittered,
    keep_running,
)
from rbee.clients.who import REGISTRY, the_worker
from rbee.contract.errors import RbeeError
from rbee.contract.wire import ColonyAddresses, HiveBeatAnswer, HiveHeartbeat, Registration
from rbee.hive.children import Child, address
from rbee.hive.pushing import CHECK_S, Pushing
from rbee.settings import Settings

if TYPE_CHECKING:
    from rbee.hive.service import HiveService

log = logging.getLogger(__name__)

_LAST_BEAT_S = 1.0
_RETRY_S = 4.0
"""The longest wait for a queen, before it is spread: she is to hear of her hives within seconds of her return."""


class Reporter:
    """Tells the queen what the hive measures; works when there is neither queen nor registry.

    Args:
        hive: whom to report of.
        settings: intervals.
        credentials: shown to the others.
        queen_url: None asks the registry, or takes the one that introduces herself.
        registry_url: None for no registry.
        last_queen: where the queen was last, in an earlier life; None when that is not known.
        keep_queen: told where she has answered, for the next life.
    """

    def __init__(
        self,
        hive: HiveService,
        settings: Settings,
        credentials: Credentials,
        queen_url: str | None,
        registry_url: str | None,
        last_queen: str | None = None,
        keep_queen: Callable[[str], None] = lambda url: None,
    ) -> None:
        self._last_queen = last_queen
        self._keep_queen = keep_queen
        self._hive = hive
        self._settings = settings
        self._credentials = credentials
        self._registry_url = registry_url
        self._queen_url = queen_url
        self._registry_transport = (
            Transport(registry_url, credentials, REGISTRY, timeout_s=5.0) if registry_url else None
        )
        registry = RegistryClient(self._registry_transport) if self._registry_transport else None
        self._lookup = QueenLookup(registry, queen_url, credentials, last=last_queen)
        self._membership = (
            Membership(registry, hive.registration, settings.registry.heartbeat_s, self._lookup.named)
            if registry
            else None
        )
        self._pushing = Pushing(CHECK_S)
        self._background: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Report until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._membership is not None:
                group.create_task(keep_running("the hive's lease", self._membership.run))
            group.create_task(keep_running("reporting to the queen", self._report_forever))

    async def tell_stopping(self, beat: HiveHeartbeat) -> None:
        """The last beat: nothing is to be placed here any more.  Silent when no queen hears it in time."""
        queen = self._lookup.current
        if queen is None:
            return
        try:
            async with asyncio.timeout(_LAST_BEAT_S):
                await QueenClient(queen).beat_hive(beat)
        except Exception as error:
            log.debug("the queen was not told of the stop: %s", error)

    async def leave(self) -> None:
        """End the lease and close connections."""
        for task in self._background:
            task.cancel()
        if self._membership is not None:
            await self._membership.leave()
        await self._lookup.close()
        if self._registry_transport is not None:
            await self._registry_transport.close()

    def queen_introduced(self, url: str) -> bool:
        """A queen says where she is; False when that is no address.

        She is taken where none was given, and only when there is none, or the present one does not answer.
        """
        return self._lookup.introduced(url)

    @property
    def queen_url(self) -> str | None:
        """Where the queen is, as far as is known."""
        queen = self._lookup.current
        return self._queen_url or self._last_queen if queen is None else queen.url

    async def hives(self) -> dict[str, str]:
        """Addresses of the colony's hives that are online, by their ids: the queen's word, else the registry's."""
        queen = self._lookup.current
        if queen is not None:
            with contextlib.suppress(RbeeError):
                return await QueenClient(queen).hives()
        if self._registry_transport is not None:
            with contextlib.suppress(RbeeError):
                found = await RegistryClient(self._registry_transport).components("hive")
                return {one.component_id: one.url for one in found if one.online}
        return {}

    def stream_ended(self) -> None:
        """Somebody no longer reads the hive's stream.  It may have been the queen: the next beat is pushed."""
        self._pushing.resume()

    async def worker_ready(self, registration: Registration) -> None:
        """The fast path; silent when no queen hears it: the worker's own beats will tell her."""
        queen = await self._lookup.find()
        if queen is not None:
            self._tell_workers(queen, registration.identity)
            with contextlib.suppress(RbeeError):
                await QueenClient(queen).register_worker(registration)

    async def introduce(self, child: Child) -> None:
        """Tell a worker where queen and registry are: one of an earlier life, or one that cannot find out itself."""
        transport = Transport(address(self._settings, child), self._credentials, the_worker(child.worker_id))
        try:
            for wait_s in (0.0, 1.0, 2.0, 4.0):
                await asyncio.sleep(wait_s)
                queen = self._lookup.current
                url = self._queen_url or (queen.url if queen is not None else None)
                with contextlib.suppress(RbeeError):
                    await WorkerClient(transport).move(
                        ColonyAddresses(queen_url=url, registry_url=self._registry_url, hive_pid=os.getpid())
                    )
                    return
            log.warning("worker %s does not answer", child.worker_id)
        finally:
            await transport.close()

    def worker_gone(self, child: Child, crashed: str | None = None) -> None:
        """A worker's process has ended, and how where nobody wanted it: the queen is told, in the background."""
        self._start(self._tell_gone(child, crashed))

    async def _tell_gone(self, child: Child, crashed: str | None) -> None:
        queen = self._lookup.current
        if queen is not None:
            with contextlib.suppress(RbeeError):
                await QueenClient(queen).remove_worker(child.worker_id, pid=child.pid, crashed=crashed)

    async def _report_forever(self) -> None:
        waits = backoff()
        reached: Transport | None = None
        while True:
            queen = await self._lookup.find()
            # What the lookup has led to; what it finds from now on wakes the wait below.
            self._lookup.changed.clear()
            if queen is not None:
                try:
                    await self._introduce_to(queen)
                    reached, waits = queen, backoff()
                    if not await self._report_to(queen):
                        return
                except RbeeError as error:
                    if reached is queen:
                        log.warning("queen: %s", error)
                        reached = None
                    self._lookup.failed(queen, error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(jittered(min(next(waits), _RETRY_S))):
                    await self._lookup.changed.wait()

    async def _introduce_to(self, queen: Transport) -> None:
        client = QueenClient(queen)
        await client.register_hive(self._hive.registration())
        self._answered(await client.beat_hive(await self._hive.measure()))
        self._lookup.answered()
        log.info("reporting to the queen at %s", queen.url)
        if queen.url != self._last_queen:
            self._last_queen = queen.url
            await asyncio.to_thread(self._keep_queen, queen.url)
        self._tell_workers(queen)

    def _answered(self, answer: HiveBeatAnswer) -> None:
        self._pushing.answered(answer)
        self._hive.revocations.heard(answer.revoked)

    async def _report_to(self, queen: Transport) -> bool:
        """Push what she does not hear herself, until she does not answer or is elsewhere; False when the hive stops."""
        async with contextlib.aclosing(self._hive.beats()) as beats:
            async for beat in beats:
                if self._lookup.current is not queen:
                    return True
                if self._pushing.due():
                    self._answered(await QueenClient(queen).beat_hive(beat))
                    self._lookup.answered()
        return False

    def _tell_workers(self, queen: Transport, only: str | None = None) -> None:
        """Workers find a queen that was given to them, or that is in the registry; of another one they are told."""
        if self._queen_url is not None or self._lookup.found_by_all:
            return
        if self._registry_url is None:
            self._hive.supervisor.queen_url = queen.url
        for child in self._hive.supervisor.children():
            if only is None or child.worker_id == only:
                self._start(self.introduce(child))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
