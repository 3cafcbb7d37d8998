"""The worker's place in the colony: its lease at the registry, its beats to the queen, its end as an orphan."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time

import psutil

from rbee.clients import Credentials, Membership, QueenClient, QueenLookup, RegistryClient, Transport, keep_running
from rbee.clients.who import REGISTRY
from rbee.contract.errors import RbeeError
from rbee.contract.wire import ColonyAddresses, Registration
from rbee.settings import Settings
from rbee.worker.host import WorkerHost

log = logging.getLogger(__name__)

_ANSWER_S = 4.0
_ADDRESSES = 3
"""Addresses of the queen tried for one beat: the registry's, one that was told, the last at which she answered."""
_LEAST_S = 0.5
"""The shortest wait between two beats that nobody answers."""


class Beats:
    """Tells registry and queen that the worker is there; works when neither is.

    Args:
        host: the worker.
        settings: intervals.
        credentials: shown to the others.
        queen_url: None asks the registry.
        registry_url: None for no registry.
        hive_id: the hive that started the process; None when a person did.
        parent_pid: the hive's process.  It may have ended before this one could look who its parent is.
    """

    def __init__(
        self,
        host: WorkerHost,
        settings: Settings,
        credentials: Credentials,
        queen_url: str | None,
        registry_url: str | None,
        hive_id: str | None,
        parent_pid: int | None = None,
    ) -> None:
        self._host = host
        self._settings = settings
        self._credentials = credentials
        self._hive_id = hive_id
        self._parent = os.getppid() if parent_pid is None else parent_pid
        self._adopter: psutil.Process | None = None
        self._heard_at = time.monotonic()
        self._lookup = QueenLookup(None, queen_url, credentials, _ANSWER_S)
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
        # The registry first: with the queen's word the worker's token ends.
        if self._membership is not None:
            await self._membership.leave()
        queen = self._lookup.current
        if queen is not None:
            with contextlib.suppress(RbeeError):
                host = self._host
                await QueenClient(queen).remove_worker(host.worker_id, instance_id=host.instance_id, pid=os.getpid())
        await self._lookup.close()
        if self._registry_transport is not None:
            await self._registry_transport.close()

    async def tell_now(self) -> None:
        """One beat at once; silent when nobody hears it."""
        asked: list[Transport] = []
        for _ in range(_ADDRESSES):
            queen = await self._lookup.find()
            if queen is None or queen in asked:
                return
            asked.append(queen)
            try:
                await QueenClient(queen).beat_worker(await self._host.beat())
            except RbeeError as error:
                log.debug("queen: %s", error)
                # One that has moved is beaten at her new address at once, not a beat later.
                self._lookup.failed(queen, error)
            else:
                self._lookup.answered()
                self._heard_at = time.monotonic()
                return

    async def _beat_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._settings.worker.heartbeat_s
            self._host.changed.clear()
            self._lookup.changed.clear()
            await self._follow_move()
            self._meet()
            await self.tell_now()
            # Counted from the start of the beat: one that nobody answers must not put off the next.
            await self._until_changed(max(due - loop.time(), _LEAST_S))

    async def _until_changed(self, seconds: float) -> None:
        """Return after so many seconds, or when the worker has changed, or when a queen is to be tried elsewhere."""
        waits = [asyncio.create_task(event.wait()) for event in (self._host.changed, self._lookup.changed)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _watch_parent(self) -> None:
        if self._hive_id is None:
            return
        while True:
            await asyncio.sleep(1.0)
            silent = time.monotonic() - self._heard_at
            # A queen that hears us keeps us wanted.
            if silent > self._settings.worker.orphan_s and not self._has_hive():
                log.warning("hive and queen are gone for %.0f s; stopping", silent)
                self.orphaned.set()
                return

    def _has_hive(self) -> bool:
        """Whether a hive looks after this process: the one that started it, or one that has found it again."""
        # A hive that ends leaves its children to another parent.
        if os.getppid() == self._parent:
            return True
        try:
            # `is_running` is not deceived by another process of the same number.
            return (
                self._adopter is not None
                and self._adopter.is_running()
                and self._adopter.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return False

    async def _follow_move(self) -> None:
        """Go on at new addresses, once somebody has told them."""
        moved, self._host.moved = self._host.moved, None
        if moved is None:
            return
        if moved.hive_pid is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._adopter = psutil.Process(moved.hive_pid)
        log.info("the colony is elsewhere now: %s, %s", *_where(moved))
        if moved.registry_url != self._registry_url:
            if self._renewing is not None:
                self._renewing.cancel()
            if self._registry_transport is not None:
                await self._registry_transport.close()
            self._registry_url = moved.registry_url
            self._join_registry()
        self._lookup.move(moved.queen_url)

    def _meet(self) -> None:
        """Take note of a queen who has introduced herself."""
        introduced, self._host.introduced = self._host.introduced, None
        if introduced is not None:
            self._lookup.introduced(introduced)

    def _join_registry(self) -> None:
        self._registry_transport = self._membership = self._renewing = None
        client: RegistryClient | None = None
        if self._registry_url is not None:
            self._registry_transport = Transport(self._registry_url, self._credentials, REGISTRY, timeout_s=_ANSWER_S)
            client = RegistryClient(self._registry_transport)
            interval_s = self._settings.registry.heartbeat_s
            self._membership = Membership(client, self._registration, interval_s, self._lookup.named)
            self._renewing = asyncio.create_task(keep_running("the worker's lease", self._membership.run), name="lease")
        self._lookup.join(client)

    def _registration(self) -> Registration:
        host = self._host
        return Registration(
            component_type="worker",
            component_id=host.worker_id,
            url=host.url,
            instance_id=host.instance_id,
            spawned_by=f"hive-{self._hive_id}" if self._hive_id else None,
            hive_id=self._hive_id,
            pid=os.getpid(),
            metadata={"worker_type": "llm", "model": host.spec.model_id, "model_name": host.spec.variant.name},
        )


def _where(moved: ColonyAddresses) -> tuple[str, str]:
    """The new addresses in words."""
    registry = "no registry" if moved.registry_url is None else f"the registry at {moved.registry_url}"
    if moved.queen_url is not None:
        return f"the queen at {moved.queen_url}", registry
    return "no queen is named" if moved.registry_url is None else "the queen as the registry names her", registry
