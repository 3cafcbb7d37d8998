"""The one owner of the children's life: starting, loading, ready, stopping, gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import psutil

from rbee.contract.errors import (
    CancelledByCallerError,
    NotFoundError,
    RbeeError,
    RequestTimeoutError,
    WorkerFailedError,
    error_types,
)
from rbee.contract.types import LoadSpec
from rbee.contract.worker_args import LoadReport, WorkerArgs
from rbee.hive import cgroups
from rbee.hive.budget import ThreadBudget
from rbee.hive.children import Child, find, is_alive, send_signal, tags
from rbee.hive.spawn import Spawned, free_socket, last_lines, spawn
from rbee.http.ports import port_of, url_of
from rbee.settings import Folders, Settings

log = logging.getLogger(__name__)

_GROUP = "llm"
_KILL_AFTER_S = 3.0
_ADOPTED_POLL_S = 0.5


class Supervisor:
    """Starts workers until they are ready, notices their end, stops them.

    Args:
        settings: ports, timeouts.
        folders: for logs and as the tag of this hive.
        hive_id: told to the workers.
        budget: threads.
        on_exit: told the id of each worker whose process has ended.
        environment: what workers inherit.
    """

    def __init__(
        self,
        settings: Settings,
        folders: Folders,
        hive_id: str,
        budget: ThreadBudget,
        on_exit: Callable[[str], None],
        environment: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._folders = folders
        self._hive_id = hive_id
        self._budget = budget
        self._on_exit = on_exit
        self._environment = environment
        self._children: dict[str, Child] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self.queen_url: str | None = None
        """Where new workers will beat."""
        self.registry_url: str | None = None
        """Where new workers will register."""

    def adopt(self) -> list[Child]:
        """Find children that an earlier life of this hive left running."""
        found = []
        cgroups.sweep(_GROUP)
        for child in find(self._folders.state):
            if child.worker_id not in self._children:
                self._budget.note(child.worker_id, child.threads)
                self._keep(child, None, cgroups.of(child.pid))
                found.append(child)
        return found

    def children(self) -> list[Child]:
        """Children whose process has not ended."""
        return list(self._children.values())

    def get(self, worker_id: str) -> Child:
        """The child of that id.

        Raises:
            NotFoundError: there is none.
        """
        child = self._children.get(worker_id)
        if child is None:
            raise NotFoundError(f"Worker {worker_id!r} is not a process of hive {self._hive_id!r}.")
        return child

    async def ensure_ready(
        self, engine: str, spec: LoadSpec, worker_id: str | None, on_stage: Callable[[str], None]
    ) -> Child:
        """Start a worker and wait until it serves.  Cancelled, it takes the process down again.

        Args:
            engine: name of the engine.
            spec: what to load; its `threads` are decided here.
            worker_id: None makes one.
            on_stage: told what the worker does.

        Raises:
            NoPlacementError: no threads are left.
            RequestTimeoutError: it took longer than hive.start_timeout_s.
            RbeeError: what the engine raised.
        """
        identity = worker_id or f"worker-{uuid.uuid4().hex[:8]}"
        if identity in self._children:
            return self._children[identity]
        threads = self._budget.grant(identity)
        try:
            child, spawned = await self._spawn(identity, engine, msgspec.structs.replace(spec, threads=threads))
        except BaseException:
            self._budget.give_back(identity)
            raise
        try:
            async with asyncio.timeout(self._settings.hive.start_timeout_s):
                await self._loaded(identity, spawned, on_stage)
        except TimeoutError as error:
            await self.stop(identity, at_once=True)
            raise RequestTimeoutError(
                f"Worker {identity!r} did not load {spec.model_id!r} within "
                f"{self._settings.hive.start_timeout_s:g} s (hive.start_timeout_s). Its log: '{spawned.log}'"
            ) from error
        except BaseException:
            # Shielded, or a second cancellation would leave the process behind.
            await asyncio.shield(self.stop(identity, at_once=True))
            raise
        return child

    async def stop(self, worker_id: str, *, at_once: bool = False) -> None:
        """Let a worker drain and end; kill it when it does not.  Harmless when it has ended."""
        child = self._children.get(worker_id)
        if child is None:
            return
        with contextlib.suppress(NotFoundError):
            send_signal(child, signal.SIGKILL if at_once else signal.SIGTERM, self._folders.state)
        grace = _KILL_AFTER_S if at_once else self._settings.worker.drain_s + _KILL_AFTER_S
        watcher = self._watchers[worker_id]
        await asyncio.wait([watcher], timeout=grace)
        if not watcher.done():
            log.warning("worker %s does not stop; killing it", worker_id)
            with contextlib.suppress(NotFoundError):
                send_signal(child, signal.SIGKILL, self._folders.state)
            await asyncio.wait([watcher], timeout=grace)

    async def stop_all(self) -> None:
        """Stop every child, all at the same time."""
        await asyncio.gather(*(self.stop(worker_id) for worker_id in list(self._children)))

    def kill_all(self) -> None:
        """End every child this instant, for a program that is about to leave itself."""
        for child in self._children.values():
            with contextlib.suppress(NotFoundError):
                send_signal(child, signal.SIGKILL, self._folders.state)

    async def _spawn(self, worker_id: str, engine: str, spec: LoadSpec) -> tuple[Child, Spawned]:
        settings, host = self._settings, self._settings.server.host
        sock = free_socket(host, settings.hive.worker_port_first, settings.hive.worker_port_last)
        port = port_of(sock)
        args = WorkerArgs(
            worker_id=worker_id,
            model=spec.model_id,
            engine=engine,
            device=spec.device,
            backend=spec.backend,
            host=host,
            queen_url=self.queen_url,
            registry_url=self.registry_url,
            hive_id=self._hive_id,
            model_path=spec.model_path,
            variant=msgspec.json.encode(spec.variant).decode(),
            threads=spec.threads,
            slots=spec.slots,
            context_length=spec.context_length,
        )
        environment = {
            **self._environment,
            # Threads of an engine that wait must sleep: spinning, they starve the worker beside them.
            "OMP_WAIT_POLICY": "passive",
            "OMP_NUM_THREADS": str(spec.threads),
            **tags(self._folders.state, worker_id, port, spec.threads, spec.model_id),
        }
        output = self._folders.logs / f"{worker_id}.log"
        spawned = await spawn(args, sock, environment, output)
        pid = spawned.process.pid
        try:
            created = psutil.Process(pid).create_time()
        except psutil.Error:
            created = 0.0
        child = Child(
            worker_id=worker_id, pid=pid, created=created, port=port, threads=spec.threads, model_id=spec.model_id
        )
        self._keep(child, spawned, cgroups.enter(pid, _GROUP, str(port)))
        return child, spawned

    def _keep(self, child: Child, spawned: Spawned | None, group: Path | None) -> None:
        self._children[child.worker_id] = child
        self._watchers[child.worker_id] = asyncio.create_task(
            self._watch(child, spawned, group), name=f"watch {child.worker_id}"
        )

    async def _watch(self, child: Child, spawned: Spawned | None, group: Path | None) -> None:
        """Wait for the process's end and clear up behind it."""
        if spawned is not None:
            code = await spawned.process.wait()
            log.info("worker %s (process %d) ended with code %s", child.worker_id, child.pid, code)
        else:
            # Not our child by parentage: the system tells its end to somebody else.
            while is_alive(child):  # noqa: ASYNC110  # the system has no event for it
                await asyncio.sleep(_ADOPTED_POLL_S)
            log.info("adopted worker %s (process %d) ended", child.worker_id, child.pid)
        self._children.pop(child.worker_id, None)
        self._watchers.pop(child.worker_id, None)
        self._budget.give_back(child.worker_id)
        if group is not None:
            cgroups.leave(group)
        self._on_exit(child.worker_id)

    async def _loaded(self, worker_id: str, spawned: Spawned, on_stage: Callable[[str], None]) -> None:
        """Follow the worker's report until it serves.

        Raises:
            RbeeError: what it reports, or that it died without a word.
        """
        while line := await spawned.report.readline():
            with contextlib.suppress(msgspec.DecodeError):
                report = msgspec.json.decode(line, type=LoadReport)
                if report.ready:
                    return
                if report.code is not None:
                    raise error_types().get(report.code, RbeeError)(report.message or "The worker failed to load.")
                if report.stage:
                    on_stage(report.stage)
        code = await spawned.process.wait()
        if code == 0:
            raise CancelledByCallerError(f"Worker {worker_id!r} was stopped while it loaded.")
        said = last_lines(spawned.log)
        raise WorkerFailedError(
            f"Worker {worker_id!r} ended with code {code} while it loaded. "
            + (f"Its last words: {said}. " if said else "")
            + f"Its log: '{spawned.log}'"
        )


def address(settings: Settings, child: Child) -> str:
    """Where a child is reached."""
    return url_of(settings.server.host, child.port)
