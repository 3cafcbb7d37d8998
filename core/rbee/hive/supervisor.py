"""The one owner of the children's life: starting, loading, ready, stopping, gone."""

from __future__ import annotations

import asyncio
import logging
import signal
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from rbee.clients import Credentials
from rbee.contract.errors import (
    CancelledByCallerError,
    ConflictError,
    NotFoundError,
    RequestTimeoutError,
    WorkerFailedError,
)
from rbee.contract.types import LoadSpec, WorkerState
from rbee.hive import cgroups
from rbee.hive.adopted import check_serving, until_ended
from rbee.hive.budgets import Budgets
from rbee.hive.certificates import WorkerCertificates
from rbee.hive.children import Child, address, find, is_alive, send_signal, signal_own
from rbee.hive.launching import Launcher
from rbee.hive.leftovers import end_leftovers
from rbee.hive.logs import WorkerLogs
from rbee.hive.spawn import Spawned, discard, last_lines, until_ready
from rbee.settings import Folders, Settings
from rbee.trust.spawned import SpawnTokens

log = logging.getLogger(__name__)

_GROUP = "llm"
_KILL_AFTER_S = 3.0
_DEATH_S = 15.0
"""How long the system may take to end a process that was killed: it gives back what may be much memory."""


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
        budgets: what workers may use.
        on_exit: told each child whose process has ended, and how it crashed, if it had loaded and nobody wanted that.
        environment: what workers inherit.
        credentials: shown to workers, without a token; None shows nothing.
        certificates: of workers, where they listen beyond loopback.
        tokens: makes what a worker shows elsewhere.
    """

    def __init__(
        self,
        settings: Settings,
        folders: Folders,
        hive_id: str,
        budgets: Budgets,
        on_exit: Callable[[Child, str | None], None],
        environment: Mapping[str, str],
        credentials: Credentials | None = None,
        certificates: WorkerCertificates | None = None,
        tokens: SpawnTokens | None = None,
    ) -> None:
        self._settings = settings
        self._folders = folders
        self._hive_id = hive_id
        self._budgets = budgets
        self._on_exit = on_exit
        self._launcher = Launcher(settings, folders, hive_id, environment, certificates, tokens)
        self._credentials = Credentials() if credentials is None else credentials
        self._certificates = certificates
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

    def use_pythons(self, pythons: Mapping[str, str]) -> None:
        """From now on workers of these engines are started with these interpreters, all others with this one.

        Args:
            pythons: by the engine's name.
        """
        self._launcher.pythons = pythons

    def adopt(self) -> list[Child]:
        """Find children that an earlier life of this hive left running."""
        found = []
        cgroups.sweep(_GROUP)
        for child in find(self._folders.state):
            if child.worker_id not in self._children:
                self._budgets.note(child)
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
            spec: what to load; its `threads` are decided here, and its `memory_bytes`, an estimate, is asked for.
            worker_id: None makes one.
            on_stage: told what the worker does.

        Raises:
            ConflictError: a worker with that id has another model, or drains.
            NoPlacementError: no threads are left.
            InsufficientMemoryError: its device has not so much memory left.
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
            child = await asyncio.shield(under_way.ready)
            await self.check_serving(child)
            return child
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
        granted = self._budgets.grant(identity, spec)
        try:
            child, spawned = await self._spawn(identity, engine, granted)
        except BaseException:
            self._budgets.give_back(identity)
            raise

        def loading(stage: str) -> None:
            self._note(identity, WorkerState.LOADING)
            on_stage(stage)

        try:
            async with asyncio.timeout(self._settings.hive.start_timeout_s):
                await until_ready(identity, spawned, loading)
        except TimeoutError as error:
            await self._take_down(identity)
            raise RequestTimeoutError(
                f"Worker {identity!r} did not load {spec.model_id!r} within "
                f"{self._settings.hive.start_timeout_s:g} s (hive.start_timeout_s). Its log: '{spawned.log}'"
            ) from error
        except BaseException:
            # Shielded, or a second cancellation would leave the process behind.
            await asyncio.shield(self._take_down(identity))
            raise
        self._note(identity, WorkerState.READY)
        return child

    async def check_serving(self, child: Child) -> None:
        """Pass unless a worker that has loaded says that it drains; raises as `adopted.check_serving`."""
        await check_serving(address(self._settings, child), self._credentials, child.worker_id)

    async def stop(self, worker_id: str, *, at_once: bool = False) -> None:
        """Let a worker drain and end; kill it when it does not.  Harmless when it has ended.

        Raises:
            WorkerFailedError: its process is there still, although it was killed.
        """
        child = self._children.get(worker_id)
        if child is None:
            return
        self._note(worker_id, WorkerState.STOPPING)
        self._signal(child, signal.SIGKILL if at_once else signal.SIGTERM)
        watcher = self._watchers[worker_id]
        drain_s = 0.0 if at_once else self._settings.worker.drain_s
        await asyncio.wait([watcher], timeout=drain_s + _KILL_AFTER_S)
        if watcher.done():
            return
        log.warning("worker %s does not stop; killing it", worker_id)
        self._signal(child, signal.SIGKILL)
        await asyncio.wait([watcher], timeout=_DEATH_S)
        # Of one that has ended, what it left behind may still be looked for.
        if not watcher.done() and is_alive(child):
            raise WorkerFailedError(
                f"Worker {worker_id!r} (process {child.pid}) does not end, not even killed: it hangs in the system, "
                "most often in a driver, or the hive may not signal it. "
                f"See: ps -o pid,user,stat,wchan -p {child.pid}. If it stays, restart the machine."
            )

    async def stop_all(self) -> None:
        """Stop every child, all at the same time.

        Raises:
            WorkerFailedError: at least one does not end; the others have been stopped.
        """
        stopping = (self.stop(worker_id) for worker_id in list(self._children))
        failed = [one for one in await asyncio.gather(*stopping, return_exceptions=True) if one is not None]
        for error in failed[1:]:
            log.error("%s", error)
        if failed:
            raise failed[0]

    async def release_all(self) -> list[Child]:
        """Leave the children running, unwatched, for a later life of the hive to find; stop those still starting.

        A worker left so goes on as long as a queen hears it, and ends by itself when none does.  To be called last:
        nothing is known of the children afterwards.
        """
        starting = [name for name, start in self._starts.items() if not start.ready.done() and name in self._spawned]
        await asyncio.gather(*(self._take_down(name) for name in starting))
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

    async def _take_down(self, worker_id: str) -> None:
        """Kill a worker whose start has come to nothing; that it does not end must not hide why."""
        try:
            await self.stop(worker_id, at_once=True)
        except WorkerFailedError as error:
            log.error("%s", error)

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
        # One of that id may have run before and filled it.
        await asyncio.to_thread(self.logs.rotate, worker_id)
        child, spawned = await self._launcher.launch(
            worker_id, engine, spec, self.logs.path(worker_id), self.queen_url, self.registry_url
        )
        try:
            self._keep(child, spawned, self._groups.enter(child.pid, _GROUP, str(child.port)))
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
        crashed: str | None = None
        if spawned is not None:
            code = await spawned.process.wait()
            if code != 0 and self._states.get(child.worker_id) not in {WorkerState.STARTING, WorkerState.STOPPING}:
                said = await asyncio.to_thread(last_lines, spawned.log)
                crashed = f"its process ended with code {code}" + (f"; its last words: {said}" if said else "")
            log.info("worker %s (process %d) ended with code %s", child.worker_id, child.pid, code)
        else:
            ready = self._starts[child.worker_id].ready
            url = address(self._settings, child)
            await until_ended(child, url, self._credentials, ready, lambda state: self._note(child.worker_id, state))
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
        self._budgets.give_back(child.worker_id)
        if self._certificates is not None:
            self._certificates.drop(child.worker_id)
        if group is not None:
            cgroups.leave(group)
        self._on_exit(child, crashed)

    def _note(self, worker_id: str, state: WorkerState | None) -> None:
        """Take a child's state, unless it is on its way out already."""
        if worker_id in self._children and self._states.get(worker_id) is not WorkerState.STOPPING:
            if state is None:
                self._states.pop(worker_id, None)
            else:
                self._states[worker_id] = state
