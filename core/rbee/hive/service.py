"""The hive's service: children, models, telemetry, jobs.  Knows no HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import socket
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping

from rbee.builtin.host_probe import usable_cores
from rbee.catalog import ModelCatalog, Resolver, WorkerCatalog
from rbee.clients import Credentials, keep_running
from rbee.contract.errors import InvalidRequestError
from rbee.contract.types import EngineInfo
from rbee.contract.version import __version__
from rbee.contract.wire import (
    HealthStatus,
    HiveCapabilities,
    HiveDrain,
    HiveHeartbeat,
    HiveInfo,
    JobEvent,
    NodeStats,
    ProcessStats,
    Registration,
    utc_now,
)
from rbee.hive.budgets import Budgets
from rbee.hive.certificates import Ask, WorkerCertificates
from rbee.hive.children import Child, address
from rbee.hive.disk_room import DiskRoom
from rbee.hive.draining import Draining
from rbee.hive.engines import EnginesFound, described, in_environments, installed_engines, merged
from rbee.hive.memory_budget import MemoryBudget
from rbee.hive.operations import Operations
from rbee.hive.peers import Peers
from rbee.hive.reporter import Reporter
from rbee.hive.revocations import Revocations
from rbee.hive.sampler import Sampler
from rbee.hive.shelf import Shelf
from rbee.hive.supervisor import Supervisor
from rbee.hive.telling import default_hive_id, telemetry_line
from rbee.hive.thread_budget import ThreadBudget
from rbee.jobs import JobRunner, JobStore
from rbee.plugins import Plugins
from rbee.settings import Folders, Settings
from rbee.trust.spawned import SpawnTokens

log = logging.getLogger(__name__)

_KEEP_JOBS = 50


class HiveService:
    """One machine's executor.  It holds child handles and no other knowledge of workers.

    Args:
        settings: of this program.
        folders: of this machine.
        plugins: engines, vendors, probes.
        url: address under which others reach this hive.
        credentials: shown to the others.
        queen_url: None asks the registry.
        registry_url: None for no registry.
        environment: what workers inherit; settings of the command line must be in it.
        ask_certificate: asks for the certificate of a worker; None where all listen on loopback alone.
        last_queen: where the queen was last; None when that is not known.
        keep_queen: told where she has answered.
    """

    def __init__(
        self,
        settings: Settings,
        folders: Folders,
        plugins: Plugins,
        url: str,
        credentials: Credentials,
        queen_url: str | None,
        registry_url: str | None,
        environment: Mapping[str, str],
        ask_certificate: Ask | None = None,
        last_queen: str | None = None,
        keep_queen: Callable[[str], None] = lambda url: None,
    ) -> None:
        self.hive_id = settings.hive.id or default_hive_id()
        self.instance_id = uuid.uuid4().hex
        self.url = url
        self.shutdown_asked = asyncio.Event()
        self._settings = settings
        self._plugins = plugins
        self._seq = 0
        own = settings.hive
        self._labels = own.labels
        self.budgets = Budgets(
            ThreadBudget(own.threads or usable_cores(), fixed=own.threads is not None, most=own.worker_threads),
            MemoryBudget(lambda: self._sampler.devices, lambda: self._beat, own.memory_share, own.worker_memory_max_mb),
        )
        """What its workers may use."""
        registrations = plugins.registrations
        self._engines: tuple[EngineInfo, ...] = ()
        resolver = Resolver([cls() for cls in registrations.model_vendors.things()])
        peers = Peers(self.hive_id, credentials, self.other_hives)
        self.catalog = ModelCatalog(folders.models, resolver, peers.having, environment)
        self._room = DiskRoom(folders.models)
        self.shelf = Shelf(self.hive_id, self.catalog)
        self._certificates = (
            None if ask_certificate is None else WorkerCertificates(folders.state / "identities", ask_certificate)
        )
        identities = () if ask_certificate is None else (folders.config / "identity", folders.state / "identities")
        self.revocations = Revocations(identities)
        self.supervisor = Supervisor(
            settings,
            folders,
            self.hive_id,
            self.budgets,
            self._on_exit,
            environment,
            credentials.without_token(),
            self._certificates,
            SpawnTokens(credentials.token),
        )
        self.supervisor.queen_url = queen_url or last_queen
        self.supervisor.registry_url = registry_url
        self._sampler = Sampler(
            [cls() for cls in registrations.probes.things()],
            lambda stats: plugins.notify("rbee_worker_telemetry", hive_id=self.hive_id, sample=stats),
            settings.hive.probe_timeout_s,
        )
        self.draining = Draining(
            self.hive_id,
            lambda: {one.worker_id: address(settings, one) for one in self.supervisor.children()},
            credentials,
        )
        self._reporter = Reporter(self, settings, credentials, queen_url, registry_url, last_queen, keep_queen)
        self._environment = dict(environment)
        self._workers = WorkerCatalog(
            [cls() for cls in registrations.worker_vendors.things()], folders.data / "workers"
        )
        operations = Operations(
            self,
            self.catalog,
            self._workers,
            resolver,
            self.supervisor,
            self._reporter,
            settings,
            folders,
            plugins,
            peers,
        )
        # The hive remembers nothing over a restart: its jobs are the queen's, which keeps them.
        self.jobs = JobRunner(
            JobStore("sqlite+aiosqlite://"), operations.operations(), self._observe, keep_ended=_KEEP_JOBS
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._beat: HiveHeartbeat | None = None
        self._beaten = asyncio.Condition()
        self._started = False
        self._stopping = False
        self._keep_workers = False

    async def start(self) -> None:
        """Open stores, find children of an earlier life, begin to measure."""
        await self.catalog.open()
        await self.jobs.start()
        adopted = self.supervisor.adopt()
        for child in adopted:
            log.info("found worker %s (process %d) of an earlier life", child.worker_id, child.pid)
        await self._sampler.find_devices()
        own = asyncio.gather(*(described(cls) for cls in self._plugins.registrations.engines.things()))
        apart = in_environments(self._environment, await self._workers.environments())
        self._take(merged(*await asyncio.gather(own, apart)))
        self._tasks = [
            asyncio.create_task(keep_running("telemetry", self._measure_forever), name="telemetry"),
            asyncio.create_task(keep_running("the workers' logs", self.supervisor.logs.run), name="worker logs"),
            asyncio.create_task(self._reporter.run(), name="reporter"),
            *self._renewing(),
            *(asyncio.create_task(self._reporter.introduce(child), name="introduce") for child in adopted),
        ]
        self._started = True

    def _renewing(self) -> list[asyncio.Task[None]]:
        certificates = self._certificates
        if certificates is None:
            return []
        certificates.sweep(child.worker_id for child in self.supervisor.children())

        async def renew() -> None:
            await certificates.run(lambda: [child.worker_id for child in self.supervisor.children()])

        return [asyncio.create_task(keep_running("the workers' certificates", renew), name="certificates")]

    @property
    def queen_url(self) -> str | None:
        """Where the queen is, as far as is known."""
        return self._reporter.queen_url

    def shut_down(self, *, keep_workers: bool = False) -> None:
        """Ask whoever runs the hive to stop it.

        Args:
            keep_workers: leave workers running that serve; the next life of the hive finds them again.
        """
        self._keep_workers = keep_workers
        self.shutdown_asked.set()

    async def drain(self, *, on: bool) -> HiveDrain:
        """Take no more work, or take it again; see `Draining.turn`."""
        told = await self.draining.turn(on=on)
        # The queen hears of it now and not with the next beat.
        await self.measure()
        return told

    async def stop(self) -> None:
        """Tell the queen, then stop jobs, workers and telemetry, in this order.  Every step is tried.

        Workers of an earlier life stay when `start` has failed: they serve, and the next life finds them.

        Raises:
            WorkerFailedError: a worker does not end.
        """
        self._stopping = True
        async with contextlib.AsyncExitStack() as steps:
            # The last one first; a step that fails keeps no other from being taken.
            steps.callback(self._sampler.close)
            steps.callback(self._room.close)
            steps.push_async_callback(self.catalog.close)
            steps.push_async_callback(self.shelf.close)
            steps.push_async_callback(self._reporter.leave)
            steps.push_async_callback(self._end_tasks)
            steps.push_async_callback(self._end_workers)
            steps.push_async_callback(self.jobs.stop)
            steps.push_async_callback(self._say_goodbye)

    async def _say_goodbye(self) -> None:
        async with self._beaten:
            self._beaten.notify_all()
        if self._beat is not None:
            # Not measured anew: a probe that hangs must not hold up the end.
            await self._reporter.tell_stopping(await self._tell(self._beat.node, self._beat.workers))

    async def _end_workers(self) -> None:
        if self._keep_workers or not self._started:
            await self.supervisor.release_all()
        else:
            await self.supervisor.stop_all()

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def info(self) -> HiveInfo:
        """The hive as it tells of itself."""
        return HiveInfo(
            id=self.hive_id,
            hostname=socket.gethostname(),
            port=int(self.url.rpartition(":")[2]),
            operational_status="stopping" if self._stopping else "draining" if self.draining.active else "ready",
            health_status=HealthStatus(),
            version=__version__,
            url=self.url,
            instance_id=self.instance_id,
            seq=self._seq,
            threads_total=self.budgets.threads.total,
            threads_granted=self.budgets.threads.granted,
            threads_free=self.budgets.threads.free,
            memory=self.budgets.memory(),
            models_seq=self.catalog.seq or None,
            labels=dict(label.split("=", 1) for label in self._labels),
            models_free_bytes=self._room.free_bytes,
        )

    @property
    def last_beat(self) -> HiveHeartbeat | None:
        """What was measured last; None before the first sample."""
        return self._beat

    def capabilities(self, queen_url: str | None = None) -> HiveCapabilities:
        """Devices and engines.

        Args:
            queen_url: introduces a queen, for a hive that was given none.

        Raises:
            InvalidRequestError: that is no address.
        """
        if queen_url is not None:
            self.introduce_queen(queen_url)
        return HiveCapabilities(hive=self.info(), capabilities=self._sampler.devices, engines=self._engines)

    def introduce_queen(self, url: str) -> None:
        """A queen may be there; taken where none was given, once no other one answers.

        Raises:
            InvalidRequestError: that is no address.
        """
        if not self._reporter.queen_introduced(url):
            raise InvalidRequestError(f"{url!r} is no queen's address; give it as http://HOST:PORT.", param="queen_url")

    async def look_for_engines(self) -> None:
        """Find out anew which engines there are, after one was installed or removed; the next beat tells."""
        try:
            self._take(await installed_engines(self._environment, await self._workers.environments()))
        except Exception:
            log.exception("the engines of this machine could not be looked for; those known before stay")
            return
        await self.measure()

    async def other_hives(self) -> Mapping[str, str]:
        """Addresses of the colony's other hives by their ids, as queen or registry know them."""
        return {hive: url for hive, url in (await self._reporter.hives()).items() if hive != self.hive_id}

    def _take(self, found: EnginesFound) -> None:
        self._engines = found.engines
        self.supervisor.use_pythons(found.pythons)

    def registration(self) -> Registration:
        """The hive as it registers."""
        return Registration(
            component_type="hive",
            component_id=self.hive_id,
            url=self.url,
            instance_id=self.instance_id,
            metadata={"version": __version__, "platform": platform.platform(terse=True)},
        )

    async def beats(self, after: HiveHeartbeat | None = None) -> AsyncGenerator[HiveHeartbeat]:
        """Telemetry as it is taken, until the hive stops; who is slow gets the newest.

        Args:
            after: the last one already told; None for the present one.
        """
        last = after or self._beat
        while not self._stopping:
            async with self._beaten:
                while self._beat is last and not self._stopping:
                    await self._beaten.wait()
                last = self._beat
            if last is not None and not self._stopping:
                yield last

    async def lines(self) -> AsyncGenerator[bytes]:
        """The hive's own stream: the present sample, then each as it is taken; see `HiveTelemetry`."""
        told: HiveHeartbeat | None = None
        try:
            if self._beat is not None:
                told = self._beat
                yield telemetry_line(told, None)
            async with contextlib.aclosing(self.beats(told)) as beats:
                async for beat in beats:
                    yield telemetry_line(beat, told)
                    told = beat
        finally:
            self._reporter.stream_ended()

    async def measure(self) -> HiveHeartbeat:
        """One sample, told to all who listen."""
        (node, stats), _ = await asyncio.gather(
            self._sampler.sample(self.supervisor.children(), self.supervisor.states()), self._room.look()
        )
        return await self._tell(node, stats)

    async def _tell(self, node: NodeStats | None, stats: tuple[ProcessStats, ...]) -> HiveHeartbeat:
        self._seq += 1
        alive = {child.worker_id for child in self.supervisor.children()}
        beat = HiveHeartbeat(
            hive=self.info(),
            timestamp=utc_now(),
            # A worker that ended while it was measured is not reported any more.
            workers=tuple(one for one in stats if one.worker_id in alive),
            capabilities=self._sampler.devices,
            engines=self._engines,
            node=node,
        )
        async with self._beaten:
            self._beat = beat
            self._beaten.notify_all()
        return beat

    async def _measure_forever(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                await self.measure()
            except Exception:
                log.exception("telemetry failed")
            due = max(due + self._settings.hive.telemetry_s, loop.time())
            await asyncio.sleep(due - loop.time())

    def _on_exit(self, child: Child, crashed: str | None) -> None:
        if not self._stopping:
            self._reporter.worker_gone(child, crashed)

    def _observe(self, event: JobEvent) -> None:
        self._plugins.notify("rbee_job_event", event=event)
