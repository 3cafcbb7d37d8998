"""The hive's service: children, models, telemetry, jobs.  Knows no HTTP."""

from __future__ import annotations

import asyncio
import logging
import platform
import socket
import uuid
from collections.abc import AsyncGenerator, Mapping

import msgspec

from rbee.builtin.host_probe import usable_cores
from rbee.builtin.one_thread import OneThread
from rbee.catalog import ModelCatalog, Resolver
from rbee.clients import keep_running
from rbee.contract.types import Device, EngineInfo
from rbee.contract.version import __version__
from rbee.contract.wire import (
    HealthStatus,
    HiveCapabilities,
    HiveHeartbeat,
    HiveInfo,
    JobEvent,
    NodeStats,
    ProcessStats,
    Registration,
    utc_now,
)
from rbee.hive.budget import ThreadBudget
from rbee.hive.operations import Operations
from rbee.hive.reporter import Reporter
from rbee.hive.sampler import Sampler
from rbee.hive.supervisor import Supervisor
from rbee.jobs import JobRunner, JobStore
from rbee.plugins import Plugins
from rbee.settings import Folders, Settings

log = logging.getLogger(__name__)

_KEEP_JOBS = 50


class HiveService:
    """One machine's executor.  It holds child handles and no other knowledge of workers.

    Args:
        settings: of this program.
        folders: of this machine.
        plugins: engines, vendors, probes.
        url: address under which others reach this hive.
        token: the colony's.
        queen_url: None asks the registry.
        registry_url: None for no registry.
        environment: what workers inherit; settings of the command line must be in it.
    """

    def __init__(
        self,
        settings: Settings,
        folders: Folders,
        plugins: Plugins,
        url: str,
        token: str | None,
        queen_url: str | None,
        registry_url: str | None,
        environment: Mapping[str, str],
    ) -> None:
        self.hive_id = settings.hive.id or default_hive_id()
        self.instance_id = uuid.uuid4().hex
        self.url = url
        self.shutdown_asked = asyncio.Event()
        self._settings = settings
        self._plugins = plugins
        self._seq = 0
        self._budget = ThreadBudget(settings.hive.threads or usable_cores())
        registrations = plugins.registrations
        self._engines: tuple[EngineInfo, ...] = ()
        resolver = Resolver([cls() for cls in registrations.model_vendors.things()])
        self.catalog = ModelCatalog(folders.models, resolver)
        self.supervisor = Supervisor(settings, folders, self.hive_id, self._budget, self._on_exit, environment)
        self.supervisor.queen_url = queen_url
        self.supervisor.registry_url = registry_url
        self._sampler = Sampler(
            [cls() for cls in registrations.probes.things()],
            lambda stats: plugins.notify("rbee_worker_telemetry", hive_id=self.hive_id, sample=stats),
        )
        self._reporter = Reporter(self, settings, token, queen_url, registry_url)
        operations = Operations(self, self.catalog, resolver, self.supervisor, self._reporter, settings)
        # The hive remembers nothing over a restart: its jobs are the queen's, which keeps them.
        self.jobs = JobRunner(
            JobStore("sqlite+aiosqlite://"), operations.handlers(), self._observe, keep_ended=_KEEP_JOBS
        )
        self._probing = OneThread("probes")
        self._devices: tuple[Device, ...] = ()
        self._tasks: list[asyncio.Task[None]] = []
        self._beat: HiveHeartbeat | None = None
        self._beaten = asyncio.Condition()
        self._stopping = False

    async def start(self) -> None:
        """Open stores, find children of an earlier life, begin to measure."""
        await self.catalog.open()
        await self.jobs.start()
        adopted = self.supervisor.adopt()
        for child in adopted:
            log.info("found worker %s (process %d) of an earlier life", child.worker_id, child.pid)
        self._devices = await self._probing.call(self._sampler.devices)
        loop = asyncio.get_running_loop()
        engines = self._plugins.registrations.engines.things()
        self._engines = tuple(await asyncio.gather(*(loop.run_in_executor(None, cls.info) for cls in engines)))
        self._tasks = [
            asyncio.create_task(keep_running("telemetry", self._measure_forever), name="telemetry"),
            asyncio.create_task(self._reporter.run(), name="reporter"),
            *(asyncio.create_task(self._reporter.introduce(child), name="introduce") for child in adopted),
        ]

    async def stop(self) -> None:
        """Tell the queen, then stop jobs, workers and telemetry, in this order."""
        self._stopping = True
        async with self._beaten:
            self._beaten.notify_all()
        if self._beat is not None:
            # Not measured anew: a probe that hangs must not hold up the end.
            await self._reporter.tell_stopping(await self._tell(self._beat.node, self._beat.workers))
        await self.jobs.stop()
        await self.supervisor.stop_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._reporter.leave()
        await self.catalog.close()
        self._probing.close()

    def info(self) -> HiveInfo:
        """The hive as it tells of itself."""
        return HiveInfo(
            id=self.hive_id,
            hostname=socket.gethostname(),
            port=int(self.url.rpartition(":")[2]),
            operational_status="stopping" if self._stopping else "ready",
            health_status=HealthStatus(),
            version=__version__,
            url=self.url,
            instance_id=self.instance_id,
            seq=self._seq,
            threads_total=self._budget.total,
            threads_free=self._budget.free,
        )

    def capabilities(self) -> HiveCapabilities:
        """Devices and engines."""
        return HiveCapabilities(hive=self.info(), capabilities=self._devices, engines=self._engines)

    def registration(self) -> Registration:
        """The hive as it registers."""
        return Registration(
            component_type="hive",
            component_id=self.hive_id,
            url=self.url,
            instance_id=self.instance_id,
            metadata={"version": __version__, "platform": platform.platform(terse=True)},
        )

    async def beats(self) -> AsyncGenerator[HiveHeartbeat]:
        """Telemetry as it is taken, until the hive stops."""
        while not self._stopping:
            async with self._beaten:
                await self._beaten.wait()
                beat = self._beat
            if beat is not None and not self._stopping:
                yield beat

    async def measure(self) -> HiveHeartbeat:
        """One sample, told to all who listen."""
        children = self.supervisor.children()
        node, stats = await self._probing.call(self._sampler.sample, children)
        return await self._tell(node, stats)

    async def _tell(self, node: NodeStats | None, stats: tuple[ProcessStats, ...]) -> HiveHeartbeat:
        self._seq += 1
        alive = {child.worker_id for child in self.supervisor.children()}
        beat = HiveHeartbeat(
            hive=self.info(),
            timestamp=utc_now(),
            # A worker that ended while it was measured is not reported any more.
            workers=tuple(one for one in stats if one.worker_id in alive),
            capabilities=self._devices,
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

    def _on_exit(self, worker_id: str) -> None:
        if not self._stopping:
            self._reporter.worker_gone(worker_id)

    def _observe(self, event: JobEvent) -> None:
        self._plugins.notify("rbee_job_event", event=event)


def default_hive_id() -> str:
    """The machine's name, as far as it fits the grammar of ids."""
    name = socket.gethostname().partition(".")[0]
    cleaned = "".join(char if char.isalnum() or char in "._-" else "-" for char in name).strip("._-")
    return cleaned[:63] or "localhost"


def telemetry_line(beat: HiveHeartbeat) -> bytes:
    """A beat as the hive's own stream carries it."""
    return msgspec.json.encode(
        {
            "type": "telemetry",
            "hive_id": beat.hive.id,
            "hive_info": beat.hive,
            "timestamp": beat.timestamp,
            "workers": beat.workers,
            "node": beat.node,
        }
    )
