"""The worker's place in the colony: its lease at the registry, its beats to the queen, its end as an orphan."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time

from rbee.clients import Membership, QueenClient, RegistryClient, Transport, keep_running
from rbee.contract.errors import RbeeError
from rbee.contract.wire import Registration
from rbee.settings import Settings
from rbee.worker.host import WorkerHost

log = logging.getLogger(__name__)


class Beats:
    """Tells registry and queen that the worker is there; works when neither is.

    Args:
        host: the worker.
        settings: intervals.
        token: the colony's.
        queen_url: None asks the registry.
        registry_url: None for no registry.
        hive_id: the hive that started the process; None when a person did.
        parent_pid: the hive's process.  It may have ended before this one could look who its parent is.
    """

    def __init__(
        self,
        host: WorkerHost,
        settings: Settings,
        token: str | None,
        queen_url: str | None,
        registry_url: str | None,
        hive_id: str | None,
        parent_pid: int | None = None,
    ) -> None:
        self._host = host
        self._settings = settings
        self._token = token
        self._queen_url = queen_url
        self._hive_id = hive_id
        self._parent = os.getppid() if parent_pid is None else parent_pid
        self._heard_at = time.monotonic()
        self._queen: Transport | None = None
        self._registry_transport: Transport | None = None
        self._membership: Membership | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._registry_url = registry_url
        self.orphaned = asyncio.Event()
        """Set when the hive that started the process is gone and no queen has heard it for a while."""

    async def run(self) -> None:
        """Beat until cancelled."""
        self._join_registry()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(keep_running("the worker's heartbeat", self._beat_forever))
                group.create_task(keep_running("the watch over the parent", self._watch_parent))
        finally:
            if self._renewing is not None:
                self._renewing.cancel()

    async def leave(self) -> None:
        """Say good-bye, so that nobody has to conclude it from silence."""
        if self._queen is not None:
            with contextlib.suppress(RbeeError):
                await QueenClient(self._queen).remove_worker(self._host.worker_id)
            await self._queen.close()
        if self._membership is not None:
            await self._membership.leave()
        if self._registry_transport is not None:
            await self._registry_transport.close()

    async def tell_now(self) -> None:
        """One beat at once; silent when nobody hears it."""
        queen = await self._find_queen()
        if queen is None:
            return
        try:
            await QueenClient(queen).beat_worker(await self._host.beat())
            self._heard_at = time.monotonic()
        except RbeeError as error:
            log.debug("queen: %s", error)
            await self._forget_queen()

    async def _beat_forever(self) -> None:
        while True:
            self._host.changed.clear()
            await self._follow_move()
            await self.tell_now()
            with contextlib.suppress(TimeoutError):
                # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the event.
                async with asyncio.timeout(self._settings.worker.heartbeat_s):
                    await self._host.changed.wait()

    async def _watch_parent(self) -> None:
        if self._hive_id is None:
            return
        while True:
            await asyncio.sleep(1.0)
            silent = time.monotonic() - self._heard_at
            # A hive that ends leaves its children to another parent; a queen that hears us keeps us wanted.
            if os.getppid() != self._parent and silent > self._settings.worker.orphan_s:
                log.warning("hive and queen are gone for %.0f s; stopping", silent)
                self.orphaned.set()
                return

    async def _follow_move(self) -> None:
        """Go on at new addresses, once somebody has told them."""
        moved, self._host.moved = self._host.moved, None
        if moved is None:
            return
        log.info("the colony is elsewhere now: queen %s, registry %s", moved.queen_url, moved.registry_url)
        old, self._queen, self._queen_url = self._queen, None, moved.queen_url
        if old is not None:
            await old.close()
        if moved.registry_url != self._registry_url:
            if self._renewing is not None:
                self._renewing.cancel()
            if self._registry_transport is not None:
                await self._registry_transport.close()
            self._registry_url = moved.registry_url
            self._join_registry()

    def _join_registry(self) -> None:
        self._registry_transport = self._membership = self._renewing = None
        if self._registry_url is not None:
            self._registry_transport = Transport(self._registry_url, self._token, "The registry", timeout_s=5.0)
            client = RegistryClient(self._registry_transport)
            self._membership = Membership(client, self._registration, self._settings.registry.heartbeat_s)
            self._renewing = asyncio.create_task(keep_running("the worker's lease", self._membership.run), name="lease")

    async def _find_queen(self) -> Transport | None:
        if self._queen is not None:
            return self._queen
        url = self._queen_url
        if url is None and self._registry_transport is not None:
            with contextlib.suppress(RbeeError):
                found = await RegistryClient(self._registry_transport).queen()
                url = found.url if found else None
        if url is not None:
            self._queen = Transport(url, self._token, "The queen", timeout_s=4.0)
        return self._queen

    async def _forget_queen(self) -> None:
        # A queen that was looked up may have moved; one that was given is asked again at the same place.
        if self._queen is not None and self._queen_url is None:
            await self._queen.close()
            self._queen = None

    def _registration(self) -> Registration:
        host = self._host
        return Registration(
            component_type="worker",
            component_id=host.worker_id,
            url=host.url,
            instance_id=host.instance_id,
            spawned_by=f"hive-{self._hive_id}" if self._hive_id else None,
            hive_id=self._hive_id,
            metadata={"worker_type": "llm", "model": host.spec.model_id, "model_name": host.spec.variant.name},
        )
