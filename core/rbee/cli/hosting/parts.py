"""The three programs as parts of a process: each a service, its application and its server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from rbee.cli.context import Context
from rbee.cli.hosting.ends import Ends
from rbee.cli.programs import ProgramName
from rbee.clients import Credentials, keep_running
from rbee.contract.errors import ConfigurationError
from rbee.http.direct import DirectRoutes
from rbee.http.front import AsgiApp, Front
from rbee.http.guard import Guard, is_loopback
from rbee.http.ports import Entrance, listen, listen_private, near_url, port_of, url_of
from rbee.http.server import HttpServer
from rbee.plugins import load_plugins
from rbee.trust.names import Role
from rbee.trust.spawned import SpawnTokens

if TYPE_CHECKING:
    from rbee.cli.hosting.identities import Identities
    from rbee.gates import GateKeeper
    from rbee.hive import HiveService
    from rbee.queen import QueenService
    from rbee.registry import RegistryService
    from rbee.trust.identity import Identity
    from rbee.trust.operators import OperatorsCertificate

log = logging.getLogger(__name__)

_MIB = 1024 * 1024


class Place(NamedTuple):
    """Where a program listens.

    Attributes:
        entrances: its sockets.
        url: for others.
        near: for programs of this machine.
    """

    entrances: list[Entrance]
    url: str
    near: str


class Parts:
    """Starts programs in this process; what is started is stopped when the stack is left, the newest first.

    Each is loaded when it is started: a queen alone carries no hive.

    Args:
        context: of the command.
        stack: left when the process ends.
        ends: told what to do when there is no time for order.
    """

    def __init__(self, context: Context, stack: contextlib.AsyncExitStack, ends: Ends) -> None:
        self._context = context
        self._stack = stack
        self._ends = ends
        self._token = context.make_token()
        self._plugins = load_plugins(context.plugins_wanted)
        self._sockets: list[socket.socket] = []
        self._servers: list[HttpServer] = []
        self._queens: list[QueenService] = []
        self._keepers: list[GateKeeper] = []
        self._ollama: list[Entrance] = []
        # Left last: services first, whose ends end the streams that servers would wait for.
        stack.callback(self._close_sockets)
        stack.push_async_callback(self._stop_servers)

    def listen(self, program: ProgramName, *, free: bool = False) -> Place:
        """A program's sockets and addresses.

        Args:
            program: which one.
            free: take a free port, whatever the settings say.

        Raises:
            PortTakenError, ConfigurationError: as their names say.
        """
        settings = self._context.settings
        host = settings.server.host
        port = 0 if free else getattr(settings, program).port
        shared = program == "queen" and settings.queen.processes > 1
        if shared and not sys.platform.startswith("linux"):
            raise ConfigurationError(
                "Only Linux spreads connections over processes that share a port: set queen.processes to 1."
            )
        found = listen_private(host, port, f"the {program}", f"{program}.port", shared=shared)
        self._sockets += [one.sock for one in found]
        if program == "queen" and settings.queen.ollama_port is not None and not free:
            what = "the queen's clients of Ollama"
            self._ollama = listen_private(host, settings.queen.ollama_port, what, "queen.ollama_port")
            self._sockets += [one.sock for one in self._ollama]
        port = port_of(found[0].sock)
        return Place(found, url_of(host, port), near_url(host, port))

    @property
    def ollama_url(self) -> str | None:
        """Address of the queen's second port, None when there is none."""
        if not self._ollama:
            return None
        return url_of(self._context.settings.server.host, port_of(self._ollama[0].sock))

    async def registry(self, place: Place) -> RegistryService:
        """Start the registry."""
        from rbee.registry import RegistryService
        from rbee.registry import make_app as make_registry_app

        settings = self._context.settings
        store = self._plugins.registrations.presence_stores.get(settings.registry.store)()
        identity = self._identity(Role.REGISTRY, str(Role.REGISTRY), lambda: settings.queen.url)
        revoke = (lambda _: None) if identity is None else identity.revoke
        service = RegistryService(store, settings.registry.online_s, revoke)
        self._stack.push_async_callback(service.stop)
        await service.start()
        await self._serve(
            make_registry_app(service, self._guard(Role.REGISTRY), self._spawned), place.entrances, identity=identity
        )
        return service

    async def queen(self, place: Place, registry_url: str | None) -> QueenService:
        """Start the queen."""
        from rbee.observability import access_log
        from rbee.queen import QueenService
        from rbee.queen import make_app as make_queen_app

        context = self._context
        settings = context.settings
        if settings.queen.access_log == "json":
            access_log.write_bare()
        identity = self._identity(Role.QUEEN, str(Role.QUEEN), lambda: None)
        names: tuple[str, ...] = ()
        if identity is not None and self._brought is not None:
            identity.show_to_others(self._brought)
            names = self._brought.names()
        # Where tunnels from other machines end, whoever comes is a stranger: TLS is spoken there.
        inner = None if identity is None else listen("127.0.0.1", 0, "the queen's tunnels")
        if inner is not None:
            self._sockets.append(inner)
        service = QueenService(
            settings,
            context.folders,
            self._plugins,
            place.url,
            Credentials(self._token, identity),
            registry_url,
            context.environment(),
            None if identity is None else self._identities.authority,
            self._spawned,
            None if inner is None else port_of(inner),
        )
        self._stack.push_async_callback(service.stop)
        await service.start()
        self._queens.append(service)
        guard = self._guard(Role.QUEEN, names)
        app = make_queen_app(
            service,
            guard,
            settings.queen.max_body_mb * _MIB,
            open_metrics=settings.queen.open_metrics,
            spawned=self._spawned,
        )
        await self._serve(app, [*place.entrances, *self._ollama], direct=app.direct, identity=identity)
        if inner is not None:
            from rbee.gates import strangers

            await self._serve(
                strangers(app), [Entrance(inner, tls=True)], direct=app.direct, identity=identity, first=False
            )
        if settings.queen.processes > 1:
            await self._gates(settings.queen.processes - 1, place.entrances[0].sock, service, app, guard, identity)
        return service

    async def _gates(
        self,
        count: int,
        sock: socket.socket,
        service: QueenService,
        app: Front,
        guard: Guard,
        identity: Identity | None,
    ) -> None:
        """Start further processes of the queen."""
        from rbee.gates import GateKeeper, Welcome, strangers

        context = self._context
        queen = context.settings.queen
        inner = listen("127.0.0.1", 0, "the queen's own processes")
        self._sockets.append(inner)
        await self._serve(strangers(app), [Entrance(inner, tls=False)], first=False)
        welcome = Welcome(
            guard=guard,
            max_body=queen.max_body_mb * _MIB,
            queen_port=port_of(inner),
            log_level=logging.getLogger().getEffectiveLevel(),
            drain_s=queen.drain_s,
            identity=None if identity is None else str(identity.folder),
            brought=None if self._brought is None else (str(self._brought.certificate), str(self._brought.key)),
            hop=service.instance_id,
        )
        keeper = GateKeeper(count, sock, service.dispatcher, service.request_finished, welcome, context.environment())
        self._stack.push_async_callback(keeper.stop)
        self._keepers.append(keeper)
        await keeper.start()

    async def hive(self, place: Place, queen_url: str | None, registry_url: str | None) -> HiveService:
        """Start the hive."""
        from rbee.hive import HiveService, default_hive_id
        from rbee.hive import make_app as make_hive_app

        context = self._context
        joined = None if is_loopback(context.settings.server.host) else self._identities.joined()
        settings = context.settings
        last_queen: str | None = None
        if joined is not None:
            # What was agreed upon when this machine joined holds where nothing else is said.
            own = msgspec.structs.replace(settings.hive, id=settings.hive.id or joined.peer.id)
            settings = msgspec.structs.replace(settings, hive=own)
            last_queen = joined.queen_url
        hive_id = settings.hive.id or default_hive_id()
        hives: list[HiveService] = []

        def queen_now() -> str | None:
            return hives[0].queen_url if hives else queen_url or last_queen

        identity = self._identity(Role.HIVE, hive_id, queen_now)
        service = HiveService(
            settings,
            context.folders,
            self._plugins,
            place.url,
            Credentials(self._token, identity),
            queen_url,
            registry_url,
            context.environment(),
            None if identity is None else partial(self._identities.for_worker, identity, queen_now),
            last_queen,
            partial(_remember, joined),
        )
        hives.append(service)
        self._stack.push_async_callback(service.stop)
        self._ends.at_once = service.supervisor.kill_all
        await service.start()
        await self._serve(make_hive_app(service, self._guard(Role.HIVE)), place.entrances, identity=identity)
        return service

    async def drain(self) -> None:
        """Refuse new requests for inference and wait for the open ones, as long as the settings say."""
        within_s = self._context.settings.queen.drain_s
        relays = [queen.relay.drain(within_s) for queen in self._queens]
        await asyncio.gather(*relays, *(keeper.drain(within_s) for keeper in self._keepers))

    def _guard(self, role: Role, names: tuple[str, ...] = ()) -> Guard:
        server = self._context.settings.server
        return Guard(
            token=self._token,
            host=server.host,
            allowed_hosts=(*server.allowed_hosts, *names),
            allowed_origins=server.allowed_origins,
            require_token=server.require_token,
            role=role,
        )

    @cached_property
    def _spawned(self) -> SpawnTokens:
        return SpawnTokens(self._token, self._context.folders.state / "ended-workers")

    @cached_property
    def _brought(self) -> OperatorsCertificate | None:
        """What the operator has brought for callers beyond loopback who are none of the colony's programs."""
        if is_loopback(self._context.settings.server.host):
            return None
        from rbee.cli.hosting.identities import brought_by

        return brought_by(self._context.settings)

    @cached_property
    def _identities(self) -> Identities:
        # Late: what makes and reads certificates takes long to load, and on loopback there are none.
        from rbee.cli.hosting.identities import Identities

        return Identities(self._context.folders, self._context.settings)

    def _identity(self, role: Role, subject: str, queen_url: Callable[[], str | None]) -> Identity | None:
        """What a program shows, renewed as long as it runs; None where all listen on loopback alone.

        Args:
            role: what the program is.
            subject: its id.
            queen_url: says where the queen is.
        """
        if is_loopback(self._context.settings.server.host):
            return None
        from rbee.trust.renewal import Renewal

        found = self._identities.of(role, subject)
        ask = partial(self._identities.renewed, found, role, subject, queen_url)
        renewal = Renewal(found, ask, outdated=partial(self._identities.outdated, found))
        task = asyncio.create_task(keep_running(f"the certificate of the {role}", renewal.run), name="certificate")
        self._stack.callback(task.cancel)
        return found

    async def _serve(
        self,
        app: AsgiApp,
        entrances: Sequence[Entrance],
        direct: DirectRoutes | None = None,
        *,
        identity: Identity | None = None,
        first: bool = True,
    ) -> None:
        for number, one in enumerate(entrances):
            tls = identity if one.tls else None
            server = HttpServer(app, one.sock, direct=direct, first=first and number == 0, tls=tls)
            self._servers.append(server)
            await server.start()

    async def _stop_servers(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers))

    def _close_sockets(self) -> None:
        for sock in self._sockets:
            sock.close()


def _remember(joined: Identity | None, queen_url: str) -> None:
    """Keep where the queen of another machine's colony is now: she moves, and tunnels get other ports."""
    if joined is None:
        return
    try:
        joined.remember_queen(queen_url)
    except ConfigurationError as error:
        log.warning("where the queen is cannot be kept for the next start: %s", error)
