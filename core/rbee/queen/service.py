"""The queen's service: what runs where, and what is asked of it.  Knows no HTTP."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from rbee.beehives import Beehive
from rbee.builtin.policies import BalancedPolicy
from rbee.catalog import Aliases, Resolver, Searches
from rbee.clients import Credentials, keep_running
from rbee.contract.version import __version__
from rbee.contract.wire import (
    HiveHeartbeat,
    JobEvent,
    LearnedMemory,
    Registration,
    RequestRecord,
    WorkerHeartbeat,
    WorkerRecord,
)
from rbee.gateway import Pool, Relay
from rbee.jobs import JobRunner, JobStoreLater
from rbee.observability import ColonyGauges, GatewayMetrics, access_log, make_tracer
from rbee.plugins import Plugins
from rbee.queen.beehive_watch import BeehiveWatch
from rbee.queen.beehive_ways import Ways
from rbee.queen.breakers import Breakers
from rbee.queen.catalogs import HiveCatalogs
from rbee.queen.certificates import Certificates
from rbee.queen.clocks import HiveClocks
from rbee.queen.demand import Demand
from rbee.queen.departures import Departures
from rbee.queen.discovery import Discovery
from rbee.queen.dispatcher import QueenDispatcher
from rbee.queen.drains import Drains
from rbee.queen.enrolling import Enrolling
from rbee.queen.experience import Experience
from rbee.queen.gauges import gauges
from rbee.queen.guarded import GuardedPolicy
from rbee.queen.hives import Hives
from rbee.queen.inquiries import Inquiries
from rbee.queen.introductions import Introductions, tell_of_rival
from rbee.queen.lists import Lists
from rbee.queen.loads import Loads
from rbee.queen.looks import Looks
from rbee.queen.names import ModelNames
from rbee.queen.operations import (
    Benching,
    Forwards,
    Inference,
    Loading,
    Machines,
    Models,
    Operations,
    QueenChecks,
    RemoteHives,
    aliased,
)
from rbee.queen.plans import Plans
from rbee.queen.remote_figures import RemoteFigures
from rbee.queen.remote_installs import RemoteInstalls
from rbee.queen.remote_joining import RemoteJoining
from rbee.queen.replicas import Replicas
from rbee.queen.reports import Reports
from rbee.queen.residence import Residence
from rbee.queen.soon import RoomSoon
from rbee.queen.subscriptions import HiveSubscriptions
from rbee.queen.tunnels import Roads, Tunnels
from rbee.queen.tunnels.connected import connected
from rbee.queen.views import Views
from rbee.queen.yielding import Yielding
from rbee.settings import Folders, Settings
from rbee.telemetry import Limits, TelemetryRegistry
from rbee.trust.names import Role
from rbee.trust.spawned import SpawnTokens

if TYPE_CHECKING:
    from rbee.trust.authority import Authority

log = logging.getLogger(__name__)

_CLEANUP_S = 1.0


class QueenService:
    """The orchestrator.

    Args:
        settings: of this program.
        folders: of this machine.
        plugins: vendors, policies, observers.
        url: address under which others reach the queen.
        credentials: shown to the others.
        registry_url: None for no registry.
        environment: whose variables for OpenTelemetry say where traces go.
        authority: the colony's; None where all of it is on loopback.
        spawned: hears which workers have ended.
        inner: port of this machine's loopback at which TLS is spoken, for tunnels; None where there is none.
    """

    def __init__(
        self,
        settings: Settings,
        folders: Folders,
        plugins: Plugins,
        url: str,
        credentials: Credentials,
        registry_url: str | None,
        environment: Mapping[str, str] = MappingProxyType({}),
        authority: Authority | None = None,
        spawned: SpawnTokens | None = None,
        inner: int | None = None,
    ) -> None:
        spawned = SpawnTokens(None) if spawned is None else spawned
        self.url = url
        self.instance_id = uuid.uuid4().hex
        self.shutdown_asked = asyncio.Event()
        self._plugins = plugins
        self._started = time.time()
        clock = time.monotonic
        limits = Limits(**msgspec.structs.asdict(settings.telemetry))
        self.telemetry = TelemetryRegistry(clock, limits, self._on_workers_changed, self._on_room, tell_of_rival)
        registrations = plugins.registrations
        resolver = Resolver([cls() for cls in registrations.model_vendors.things()], clock=clock)
        self.certificates = Certificates(authority, settings.security, self.hive_of, self._distrust)
        self.enrolling = Enrolling(self.certificates, settings.security, url)
        self.roads = roads = Roads()
        self.tunnels = Tunnels(roads, lambda one: connected(one, self.beehives.list), inner)
        self._hives = Hives(self.telemetry, credentials, learned=self._learned_of, roads=roads)
        self.drains = Drains(self.telemetry, self._hives, credentials, roads)
        self.catalogs = HiveCatalogs(self._hives.catalog, clock)
        held = self.catalogs.index
        self.aliases = Aliases(folders.home / "aliases.db", resolver, self._whose)
        self.names = ModelNames(resolver, self.telemetry, clock, held, self.aliases)
        departures = Departures(self.telemetry, self._hives)
        self._residence = residence = Residence(
            folders.home,
            self.telemetry,
            departures,
            settings,
            clock,
            lambda model_id: self.dispatcher.room.depth((model_id,)) > 0,
        )
        self._demand = Demand(self._hives, clock, departures.evict)
        self._figures = RemoteFigures(resolver, clock=clock)
        self._breakers = Breakers(clock)
        yielding = Yielding(settings.queen.turn_s, self._model_of)
        self._experience = Experience(folders.home, self.telemetry, held, clock)
        self.ledger, history = self._experience.ledger, self._experience.history
        self._lists = Lists(
            self.telemetry, self.names, held, self.aliases.list, residence.keeping, history.rates, roads
        )
        views = Views(
            self.telemetry,
            held,
            clock,
            self._demand.failure,
            lambda worker_id: self._breakers.barred(worker_id) or yielding.barred(worker_id),
            history,
            self._demand.load_s,
            residence.standings.pinned,
            self.ledger.learned,
            self._demand.coming,
            self._demand.fetch_bytes_s,
            departures.leaves,
        )
        soon = RoomSoon(views, self._demand, departures, settings.queen.max_waiting, yielding)
        looks = Looks(views, self._figures)
        chosen = registrations.policies.get(settings.queen.policy)()
        ours = type(chosen).__module__.startswith("rbee.builtin.")
        policy = GuardedPolicy(chosen, BalancedPolicy(), clock, trusted=ours)
        self.dispatcher = QueenDispatcher(
            self.telemetry,
            self.names,
            views,
            looks,
            self._demand,
            policy,
            settings,
            credentials,
            self._breakers,
            soon,
            yielding,
            roads,
        )
        self.dispatcher.leases.on_ended = residence.request_ended
        self.decisions = self.dispatcher.decisions
        self.metrics = GatewayMetrics(self._gauges)
        self._access_log: access_log.Form = settings.queen.access_log
        self._pool = Pool()
        self._tracer = make_tracer(environment)
        self.relay = Relay(
            self.dispatcher, self._pool, self.request_finished, self._tracer, hop=self.instance_id.encode()
        )
        self._clocks = HiveClocks(self.telemetry)
        self._checks = QueenChecks(
            self.telemetry,
            self._clocks,
            settings,
            credentials,
            registry_url,
            self._check_store,
            self._entered_beehives,
        )
        loads = Loads(self.telemetry, self.names, views, looks, self._demand, soon, self.dispatcher.changes, settings)
        self._replicas = Replicas(self.dispatcher.room, self.names, loads, residence.keeping, settings, clock)
        self._operations = operations = Operations(
            self.telemetry,
            Forwards(self.telemetry, self._hives, changed=self.catalogs.refresh),
            Inference(self.dispatcher, self._hives, credentials, self.request_finished),
            self._checks,
            Models(Plans(self.telemetry, self.names, views, looks, settings), Searches(resolver), self._hives),
            Loading(
                self.telemetry,
                self.names,
                loads,
                self._hives,
                departures,
                residence,
            ),
            Benching(self.telemetry, self.names, self.dispatcher, history.rates),
            self._lists.workers,
        )
        machines = Machines(lambda: self.beehives, url, self.telemetry.is_hive_online)
        further = {**machines.operations(), **self._remote_hives(folders).operations()}
        every = aliased({**operations.operations(), **further}, self.aliases.target)
        self.jobs = JobRunner(JobStoreLater(folders.home / "queen.db"), every, self._observe_job)
        self.subscriptions = HiveSubscriptions(
            url, credentials, limits, clock, self._knows_hive, self._beat_hive, roads
        )
        self._inquiries = Inquiries(credentials, self._beat_worker, self._is_unheard, url, roads)
        introductions = Introductions(self.telemetry, self.subscriptions, self._inquiries)
        self.reports = Reports(
            self.telemetry,
            introductions,
            self._clocks,
            self._heard_hive,
            self._lists.summary,
            self._demand.crashed,
            spawned.end,
        )
        self._discovery = (
            Discovery(
                registry_url,
                credentials,
                settings,
                self.registration,
                introductions.component,
                self.subscriptions.release,
                self.certificates.revoked if self.certificates.signs else None,
            )
            if registry_url
            else None
        )
        self.beehives = BeehiveWatch(
            settings.queen.beehives_url or folders.home / "beehives.db",
            self.telemetry,
            partial(introductions.hive, answers=True),
            Ways(self.tunnels, roads, credentials, self.telemetry),
            self.subscriptions.hears,
        )
        self._hive_arrived = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the stores, begin to discover and to judge."""
        await self.beehives.open()
        await self.aliases.open()
        await self._residence.open()
        await self._experience.open()
        # After all that a job which is begun again may ask.
        await self.jobs.start()
        self._tasks = [
            asyncio.create_task(keep_running("the judgement of presence", self._judge_forever), name="judge"),
            asyncio.create_task(keep_running("the summary of the colony", self.reports.summarise), name="summary"),
            asyncio.create_task(self.beehives.run(), name="beehives"),
            *self._experience.tasks(),
        ]
        if self._discovery is not None:
            self._tasks.append(asyncio.create_task(self._discovery.run(), name="discovery"))

    async def stop(self) -> None:
        """End requests, streams, jobs and loads."""
        self.relay.close()
        self._pool.close()
        if self._tracer is not None:
            # It waits for whoever takes the traces.
            await asyncio.to_thread(self._tracer.close)
        self.reports.close()
        await self.jobs.stop()
        await self._replicas.close()
        await self._residence.close()
        await self._demand.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.beehives.close()
        await self.aliases.close()
        await self._experience.close()
        await self.catalogs.close()
        await self.names.close()
        await self._figures.close()
        await self.subscriptions.close()
        await self._inquiries.close()
        if self._discovery is not None:
            await self._discovery.leave()
        await self._operations.close()
        # Last: all of the above may still speak through them.
        await self.tunnels.close_all()
        self.roads.close()

    def request_finished(self, record: RequestRecord) -> None:
        """An inference request has ended."""
        access_log.write(record, self._access_log)
        self.metrics.observe(record)
        self._experience.finished(record)
        self._demand.answered(record)
        self._plugins.notify("rbee_request_finished", record=record)

    # --- what others ask -----------------------------------------------------------------------------------------

    async def first_hive(self) -> None:
        """Return once a hive has told its devices and engines."""
        await self._hive_arrived.wait()

    def workers(self) -> list[WorkerRecord]:
        """Every worker known, by id."""
        return self._lists.workers()

    def info(self) -> dict[str, Any]:
        """The queen and her colony in figures."""
        return {
            "program": "queen",
            "version": __version__,
            "url": self.url,
            "instance_id": self.instance_id,
            "uptime_s": int(time.time() - self._started),
            "hives": self._lists.hives(),
            "workers_total": self.telemetry.total_worker_count(),
        }

    async def models(self, *, trusted: bool) -> list[dict[str, Any]]:
        """Models that can be asked for; see `Lists.models`."""
        return await self._lists.models(trusted=trusted)

    def expire(self, name: str, *, trusted: bool) -> None:
        """Unload a model, by any of its names, as soon as nobody asks it; harmless where it is not loaded."""
        meant, trusted = self.names.meant(name, trusted=trusted)
        found = self.names.present(meant, trusted=trusted)
        self._residence.expire((meant,) if found is None else found.model_ids)

    def hive_of(self, worker_id: str) -> str | None:
        """The hive of a worker; None when it has none that is known."""
        entry = self.telemetry.get_worker(worker_id)
        return None if entry is None else entry.hive_id

    def registration(self) -> Registration:
        """The queen as she registers."""
        return Registration(
            component_type="queen",
            component_id="queen",
            url=self.url,
            instance_id=self.instance_id,
            metadata={"version": __version__},
        )

    def _learned_of(self, name: str, hive_id: str) -> tuple[LearnedMemory, ...]:
        """What workers of a model, by any of its names, have needed of memory."""
        meant, trusted = self.names.meant(name, trusted=True)
        found = self.names.present(meant, trusted=trusted)
        return self.ledger.learned((meant,) if found is None else found.model_ids, hive_id)

    def _remote_hives(self, folders: Folders) -> RemoteHives:
        """Hives of other machines, which are reached over SSH."""
        joining = RemoteJoining(self.certificates, self.enrolling, self.telemetry.is_hive_online)
        installs = RemoteInstalls(folders.data / "bundling", joining, self._hives.run)
        return RemoteHives(
            self._entered_beehive,
            lambda one: connected(one, self.beehives.list),
            self.telemetry,
            self.drains,
            installs,
            joining,
            self.queen_url_for,
        )

    def _beat_hive(self, beat: HiveHeartbeat) -> bool:
        return self.reports.beat_hive(beat)

    def _beat_worker(self, beat: WorkerHeartbeat) -> bool:
        return self.reports.beat_worker(beat)

    def _gauges(self) -> ColonyGauges:
        requests = self.dispatcher
        return gauges(
            self.telemetry,
            requests.leases.running(),
            requests.room.waiting(),
            self.ledger.seen(),
            self.tunnels.states(),
        )

    def _heard_hive(self, beat: HiveHeartbeat) -> None:
        self._hive_arrived.set()
        self._hives.arrived()
        self.ledger.observe(beat.hive.id, beat.workers)
        self.catalogs.heard(beat.hive)

    def _on_workers_changed(self, model_id: str) -> None:
        self.dispatcher.changes.tell(model_id)
        self.roads.prepare(self.telemetry.find_workers_by_model(model_id))

    def _on_room(self, model_id: str) -> None:
        self.dispatcher.room.wake(model_id)

    def _is_unheard(self, worker_id: str) -> bool:
        entry = self.telemetry.get_worker(worker_id)
        return entry is not None and entry.implementation is None

    async def _check_store(self) -> None:
        await self.jobs.check_store()

    async def _entered_beehive(self, name: str) -> Beehive:
        return await self.beehives.get(name)

    async def _entered_beehives(self) -> Sequence[Beehive]:
        return await self.beehives.list()

    def _knows_hive(self, hive_id: str) -> bool:
        return self.telemetry.get_hive_state(hive_id) is not None

    async def queen_url_for(self, beehive: Beehive) -> str:
        """Under which address a machine reaches the queen: her own, or where its tunnel ends there.

        Raises:
            RbeeError: a tunnel is needed and does not open.
        """
        return await self.beehives.queen_url(beehive.node_name, self.url)

    def _knows_worker(self, worker_id: str) -> bool:
        return self.telemetry.get_worker(worker_id) is not None

    def _model_of(self, worker_id: str) -> str | None:
        entry = self.telemetry.get_worker(worker_id)
        return None if entry is None else entry.model_id

    def _whose(self, name: str) -> str | None:
        """Where a model called so is in the colony, for a person; None when there is none."""
        if self.catalogs.index.knows(name):
            return "on a machine of the colony"
        return None if self.telemetry.model_called(name) is None else "that a worker serves"

    def _distrust(self, role: Role, subject: str) -> None:
        """Whose certificate was revoked is heard no more; what was said before is forgotten."""
        workers = [subject] if role is Role.WORKER else []
        if role is Role.HIVE:
            self.subscriptions.forget(subject)
            workers = [one.worker_id for one in self.telemetry.get_workers_on_hive(subject)]
            self.telemetry.remove_hive(subject)
        for worker_id in workers:
            self.telemetry.remove_worker(worker_id)
        if self._discovery is not None:
            self._discovery.revoked()

    def _observe_job(self, event: JobEvent) -> None:
        self._plugins.notify("rbee_job_event", event=event)

    async def _judge_forever(self) -> None:
        while True:
            await asyncio.sleep(_CLEANUP_S)
            for worker_id in self.telemetry.cleanup():
                log.info("worker %s is gone", worker_id)
            self.catalogs.forget(self._knows_hive)
            self._breakers.forget(self._knows_worker)
            self._experience.forget(self._knows_worker, self._knows_hive)
            self._residence.sweep(self._knows_worker)
            self._replicas.look()
            # Silence changes presence without a word: those who wait look again.
            self.dispatcher.room.wake_all()
            self.dispatcher.leases.abandon_lost()
