"""The one owner of the children's life: starting, loading, ready, stopping, gone."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from rbee.contract.errors import (
    CancelledByCallerError,
    ConflictError,
    NotFoundError,
    RequestTimeoutError,
    WorkerFailedError,
)
from rbee.contract.types import LoadSpec, WorkerState
from rbee.contract.worker_args import WorkerArgs
from rbee.hive import cgroups
from rbee.hive.adopted import until_serving
from rbee.hive.budget import ThreadBudget
from rbee.hive.children import Child, born, find, is_alive, send_signal, signal_own, start_ticks, tags
from rbee.hive.leftovers import end_leftovers
from rbee.hive.logs import WorkerLogs
from rbee.hive.spawn import Spawned, discard, free_socket, spawn, until_ready
from rbee.http.ports import port_of, url_of
from rbee.settings import Folders, Settings

log = logging.getLogger(__name__)

_GROUP = "llm"
_KILL_AFTER_S = 3.0
_ADOPTED_POLL_S = 0.5


class _Start(msgspec.Struct, frozen=True):
    """An id that is taken, from the moment somebody asks for it until its process has ended."""

    model_id: str
    ready: asyncio.Future[Child]


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
        self._starts: dict[str, _Start] = {}
        self._children: dict[str, Child] = {}
        self._spawned: dict[str, Spawned] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._states: dict[str, WorkerState] = {}
        own = settings.hive
        self._groups = cgroups.Groups(cgroups.Limits(memory_mb=own.worker_memory_max_mb, cores=own.worker_cpu_max))
        self.logs = WorkerLogs(
            folders.logs,
            max_mb=own.log_max_mb,
            files=own.log_files,
            keep=own.log_keep,
            days=own.log_days,
            living=lambda: frozenset(self._starts),
        )
        """The files of the workers' output; somebody is to `run` it."""
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
                # It serves when it says so: the hive may have died while the worker was loading.
                self._starts[child.worker_id] = _Start(child.model_id, asyncio.get_running_loop().create_future())
                self._keep(child, None, cgroups.of(child.pid))
                found.append(child)
        return found

    def children(self) -> list[Child]:
        """Children whose process has not ended."""
        return list(self._children.values())

    def states(self) -> dict[str, WorkerState]:
        """Where each child is in its life, as far as the hive knows: busy and draining are the worker's to tell."""
        return dict(self._states)

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

        Who asks for an id that is being started waits for that start and shares its end, good or bad.

        Args:
            engine: name of the engine.
            spec: what to load; its `threads` are decided here.
            worker_id: None makes one.
            on_stage: told what the worker does.

        Raises:
            ConflictError: a worker with that id has another model.
            NoPlacementError: no threads are left.
            RequestTimeoutError: it took longer than hive.start_timeout_s.
            RbeeError: what the engine raised.
        """
        identity = worker_id or f"worker-{uuid.uuid4().hex[:8]}"
        under_way = self._starts.get(identity)
        if under_way is not None:
            if under_way.model_id != spec.model_id:
                raise ConflictError(
                    f"Worker {identity!r} is there and has {under_way.model_id!r}; give this one another id."
                )
            # Shielded: who waits along may leave without ending it for the others.
            return await asyncio.shield(under_way.ready)
        # Taken before anything is awaited, or two callers would start two processes.
        start = self._starts[identity] = _Start(spec.model_id, asyncio.get_running_loop().create_future())
        try:
            child = await self._start(identity, engine, spec, on_stage)
        except BaseException as error:
            if identity not in self._children:
                # Else whoever watches the process's end frees the id: a second process must not share it.
                del self._starts[identity]
            cancelled = CancelledByCallerError(f"The start of worker {identity!r} was cancelled.")
            start.ready.set_exception(error if isinstance(error, Exception) else cancelled)
            start.ready.exception()  # often nobody else waits, and that is no mistake
            raise
        start.ready.set_result(child)
        if identity not in self._children:
            del self._starts[identity]
        return child

    async def _start(self, identity: str, engine: str, spec: LoadSpec, on_stage: Callable[[str], None]) -> Child:
        threads = self._budget.grant(identity)
        try:
            child, spawned = await self._spawn(identity, engine, msgspec.structs.replace(spec, threads=threads))
        except BaseException:
            self._budget.give_back(identity)
            raise

        def loading(stage: str) -> None:
            self._note(identity, WorkerState.LOADING)
            on_stage(stage)

        try:
            async with asyncio.timeout(self._settings.hive.start_timeout_s):
                await until_ready(identity, spawned, loading)
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
        self._note(identity, WorkerState.READY)
        return child

    async def stop(self, worker_id: str, *, at_once: bool = False) -> None:
        """Let a worker drain and end; kill it when it does not.  Harmless when it has ended."""
        child = self._children.get(worker_id)
        if child is None:
            return
        self._note(worker_id, WorkerState.STOPPING)
        self._signal(child, signal.SIGKILL if at_once else signal.SIGTERM)
        grace = _KILL_AFTER_S if at_once else self._settings.worker.drain_s + _KILL_AFTER_S
        watcher = self._watchers[worker_id]
        await asyncio.wait([watcher], timeout=grace)
        if not watcher.done():
            log.warning("worker %s does not stop; killing it", worker_id)
            self._signal(child, signal.SIGKILL)
            await asyncio.wait([watcher], timeout=grace)

    async def stop_all(self) -> None:
        """Stop every child, all at the same time."""
        await asyncio.gather(*(self.stop(worker_id) for worker_id in list(self._children)))

    async def release_all(self) -> list[Child]:
        """Leave the children running, unwatched, for a later life of the hive to find; stop those still starting.

        A worker left so goes on as long as a queen hears it, and ends by itself when none does.  To be called last:
        nothing is known of the children afterwards.
        """
        starting = [name for name, start in self._starts.items() if not start.ready.done() and name in self._spawned]
        await asyncio.gather(*(self.stop(name, at_once=True) for name in starting))
        left = self.children()
        watchers = [self._watchers[child.worker_id] for child in left]
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        for child in left:
            for table in (self._children, self._spawned, self._watchers, self._states, self._starts):
                table.pop(child.worker_id, None)
        return left

    def kill_all(self) -> None:
        """End every child this instant, for a program that is about to leave itself."""
        for child in self._children.values():
            self._signal(child, signal.SIGKILL)

    def _signal(self, child: Child, number: signal.Signals) -> None:
        spawned = self._spawned.get(child.worker_id)
        try:
            if spawned is None:
                send_signal(child, number, self._folders.state)
            elif spawned.process.returncode is None:
                signal_own(child, number)
        except ProcessLookupError:
            log.debug("worker %s (process %d) has ended by itself", child.worker_id, child.pid)
        except (NotFoundError, OSError) as error:
            log.warning("worker %s was not sent %s: %s", child.worker_id, number.name, error)

    async def _spawn(self, worker_id: str, engine: str, spec: LoadSpec) -> tuple[Child, Spawned]:
        settings, host = self._settings, self._settings.server.host
        # One of that id may have run before and filled it.
        await asyncio.to_thread(self.logs.rotate, worker_id)
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
            parent_pid=os.getpid(),
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
        spawned = await spawn(args, sock, environment, self.logs.path(worker_id))
        try:
            pid = spawned.process.pid
            child = Child(
                worker_id=worker_id,
                pid=pid,
                created=born(pid),
                port=port,
                threads=spec.threads,
                model_id=spec.model_id,
                ticks=start_ticks(pid),
            )
            self._keep(child, spawned, self._groups.enter(pid, _GROUP, str(port)))
        except BaseException:
            await discard(spawned.process)
            raise
        return child, spawned

    def _keep(self, child: Child, spawned: Spawned | None, group: Path | None) -> None:
        self._children[child.worker_id] = child
        if spawned is not None:
            self._spawned[child.worker_id] = spawned
            self._states[child.worker_id] = WorkerState.STARTING
        self._watchers[child.worker_id] = asyncio.create_task(
            self._watch(child, spawned, group), name=f"watch {child.worker_id}"
        )

    async def _watch(self, child: Child, spawned: Spawned | None, group: Path | None) -> None:
        """Wait for the process's end and clear up behind it."""
        if spawned is not None:
            code = await spawned.process.wait()
            log.info("worker %s (process %d) ended with code %s", child.worker_id, child.pid, code)
        else:
            await self._watch_adopted(child)
            log.info("adopted worker %s (process %d) ended", child.worker_id, child.pid)
        try:
            await asyncio.to_thread(end_leftovers, child, self._folders.state)
        except Exception:
            log.exception("what worker %s left behind could not be looked for", child.worker_id)
        self._children.pop(child.worker_id, None)
        self._spawned.pop(child.worker_id, None)
        self._watchers.pop(child.worker_id, None)
        self._states.pop(child.worker_id, None)
        start = self._starts.get(child.worker_id)
        # A start that has not ended yet keeps the id until it has told of its failure.
        if start is not None and start.ready.done():
            del self._starts[child.worker_id]
        self._budget.give_back(child.worker_id)
        if group is not None:
            cgroups.leave(group)
        self._on_exit(child.worker_id)

    async def _watch_adopted(self, child: Child) -> None:
        """Wait for the end of a process that is not our child by parentage; tell when it serves."""
        ready = self._starts[child.worker_id].ready

        def note(state: WorkerState | None) -> None:
            self._note(child.worker_id, state)
            if state is WorkerState.READY:
                ready.set_result(child)

        asking = asyncio.create_task(until_serving(address(self._settings, child), child.worker_id, note))
        try:
            # The system tells its end to somebody else, and has no event for us.
            while is_alive(child):  # noqa: ASYNC110
                await asyncio.sleep(_ADOPTED_POLL_S)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        if not ready.done():
            ready.set_exception(WorkerFailedError(f"Worker {child.worker_id!r} ended before it served."))
            ready.exception()  # often nobody waits for it, and that is no mistake

    def _note(self, worker_id: str, state: WorkerState | None) -> None:
        """Take a child's state, unless it is on its way out already."""
        if worker_id in self._children and self._states.get(worker_id) is not WorkerState.STOPPING:
            if state is None:
                self._states.pop(worker_id, None)
            else:
                self._states[worker_id] = state


def address(settings: Settings, child: Child) -> str:
    """Where a child is reached."""
    return url_of(settings.server.host, child.port)
