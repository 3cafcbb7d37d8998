"""Operations on workers: start, look, stop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rbee.contract.wire import (
    WorkerProcess,
    WorkerProcessDelete,
    WorkerProcessDeleted,
    WorkerProcessList,
    WorkerSpawn,
    WorkerSpawned,
)
from rbee.hive.children import Child, address
from rbee.hive.operations.processes import describe
from rbee.hive.operations.starting import ACTOR, Starting
from rbee.hive.supervisor import Supervisor
from rbee.jobs import JobHandler, Narrator, parse, worker_named
from rbee.settings import Settings

if TYPE_CHECKING:
    from rbee.hive.service import HiveService


class WorkerOperations:
    """Handlers for the processes of one hive.

    Args:
        hive: whose.
        supervisor: owns them.
        starting: starts them.
        settings: of this program.
    """

    def __init__(self, hive: HiveService, supervisor: Supervisor, starting: Starting, settings: Settings) -> None:
        self._hive = hive
        self._supervisor = supervisor
        self._starting = starting
        self._settings = settings

    def handlers(self) -> Mapping[str, JobHandler]:
        """By name."""
        return {
            "worker_spawn": self.worker_spawn,
            "worker_process_list": self.worker_process_list,
            "worker_process_get": self.worker_process_get,
            "worker_process_delete": self.worker_process_delete,
        }

    async def worker_spawn(self, body: dict[str, Any], say: Narrator) -> WorkerSpawned:
        """Start a worker for a model and wait until it serves."""
        wanted = parse(body, WorkerSpawn)
        return await self._starting.spawn(wanted, await self._starting.choose(wanted, say), say)

    async def worker_process_list(self, _body: dict[str, Any], _say: Narrator) -> WorkerProcessList:
        """The hive's children."""
        children = sorted(self._supervisor.children(), key=lambda child: child.worker_id)
        return WorkerProcessList(workers=tuple([await self._describe(child) for child in children]))

    async def worker_process_get(self, body: dict[str, Any], _say: Narrator) -> WorkerProcess:
        """One of the hive's children."""
        return await self._describe(self._supervisor.get(worker_named(body)))

    async def worker_process_delete(self, body: dict[str, Any], say: Narrator) -> WorkerProcessDeleted:
        """Stop a worker: drained, or at once with ``force``."""
        wanted = parse(body, WorkerProcessDelete)
        worker_id = worker_named(body)
        child = self._supervisor.get(worker_id)
        say.say(ACTOR, "worker_stop", f"Stopping worker {worker_id}", worker_id)
        await self._supervisor.stop(worker_id, at_once=wanted.force)
        await self._hive.measure()
        return WorkerProcessDeleted(worker_id=worker_id, pid=child.pid)

    async def _describe(self, child: Child) -> WorkerProcess:
        state = self._supervisor.states().get(child.worker_id)
        log = self._supervisor.logs.path(child.worker_id)
        return await asyncio.to_thread(describe, child, state, address(self._settings, child), log)
