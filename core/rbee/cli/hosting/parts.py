"""The three programs as parts of a process: each a service, its application and its server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from typing import TYPE_CHECKING

from rbee.cli.context import Context
from rbee.cli.hosting.ends import Ends
from rbee.cli.programs import ProgramName
from rbee.clients import Credentials
from rbee.contract.errors import ConfigurationError
from rbee.http.direct import DirectRoutes
from rbee.http.front import AsgiApp, Front
from rbee.http.guard import Guard
from rbee.http.ports import listen, port_of, url_of
from rbee.http.server import HttpServer
from rbee.plugins import load_plugins

if TYPE_CHECKING:
    from rbee.gates import GateKeeper
    from rbee.hive import HiveService
    from rbee.queen import QueenService
    from rbee.registry import RegistryService

_MIB = 1024 * 1024


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
        server = context.settings.server
        self._guard = Guard(
            token=self._token,
            host=server.host,
            allowed_hosts=server.allowed_hosts,
            allowed_origins=server.allowed_origins,
            require_token=server.require_token,
        )
        self._sockets: list[socket.socket] = []
        self._servers: list[HttpServer] = []
        self._queens: list[QueenService] = []
        self._keepers: list[GateKeeper] = []
        self._ollama: socket.socket | None = None
        # Left last: services first, whose ends end the streams that servers would wait for.
        stack.callback(self._close_sockets)
        stack.push_async_callback(self._stop_servers)

    def listen(self, program: ProgramName, *, free: bool = False) -> tuple[socket.socket, str]:
        """A program's socket and address.

        Args:
            program: which one.
            free: take a free port, whatever the settings say.

        Raises:
            PortTakenError, ConfigurationError: as their names say.
        """
        settings = self._context.settings
        port = 0 if free else getattr(settings, program).port
        shared = program == "queen" and settings.queen.processes > 1
        if shared and not sys.platform.startswith("linux"):
            raise ConfigurationError(
                "Only Linux spreads connections over processes that share a port: set queen.processes to 1."
            )
        sock = listen(settings.server.host, port, f"the {program}", f"{program}.port", shared=shared)
        self._sockets.append(sock)
        if program == "queen" and settings.queen.ollama_port is not None and not free:
            what = "the queen's clients of Ollama"
            self._ollama = listen(settings.server.host, settings.queen.ollama_port, what, "queen.ollama_port")
            self._sockets.append(self._ollama)
        return sock, url_of(settings.server.host, port_of(sock))

    @property
    def ollama_url(self) -> str | None:
        """Address of the queen's second port, None when there is none."""
        return None if self._ollama is None else url_of(self._context.settings.server.host, port_of(self._ollama))

    async def registry(self, sock: socket.socket) -> RegistryService:
        """Start the registry."""
        from rbee.registry import RegistryService
        from rbee.registry import make_app as make_registry_app

        settings = self._context.settings
        store = self._plugins.registrations.presence_stores.get(settings.registry.store)()
        service = RegistryService(store, settings.registry.online_s)
        self._stack.push_async_callback(service.stop)
        await service.start()
        await self._serve(make_registry_app(service, self._guard), sock)
        return service

    async def queen(self, sock: socket.socket, url: str, registry_url: str | None) -> QueenService:
        """Start the queen."""
        from rbee.observability import access_log
        from rbee.queen import QueenService
        from rbee.queen import make_app as make_queen_app

        context = self._context
        settings = context.settings
        if settings.queen.access_log == "json":
            access_log.write_bare()
        service = QueenService(
            settings, context.folders, self._plugins, url, Credentials(self._token), registry_url, context.environment()
        )
        self._stack.push_async_callback(service.stop)
        await service.start()
        self._queens.append(service)
        app = make_queen_app(
            service, self._guard, settings.queen.max_body_mb * _MIB, open_metrics=settings.queen.open_metrics
        )
        await self._serve(app, sock, direct=app.direct)
        if self._ollama is not None:
            await self._serve(app, self._ollama, direct=app.direct, first=False)
        if settings.queen.processes > 1:
            await self._gates(settings.queen.processes - 1, sock, service, app)
        return service

    async def _gates(self, count: int, sock: socket.socket, service: QueenService, app: Front) -> None:
        """Start further processes of the queen."""
        from rbee.gates import GateKeeper, Welcome, strangers

        context = self._context
        queen = context.settings.queen
        inner = listen("127.0.0.1", 0, "the queen's own processes")
        self._sockets.append(inner)
        await self._serve(strangers(app), inner, first=False)
        welcome = Welcome(
            guard=self._guard,
            max_body=queen.max_body_mb * _MIB,
            queen_port=port_of(inner),
            log_level=logging.getLogger().getEffectiveLevel(),
            drain_s=queen.drain_s,
        )
        keeper = GateKeeper(count, sock, service.dispatcher, service.request_finished, welcome, context.environment())
        self._stack.push_async_callback(keeper.stop)
        self._keepers.append(keeper)
        await keeper.start()

    async def hive(self, sock: socket.socket, url: str, queen_url: str | None, registry_url: str | None) -> HiveService:
        """Start the hive."""
        from rbee.hive import HiveService
        from rbee.hive import make_app as make_hive_app

        context = self._context
        service = HiveService(
            context.settings,
            context.folders,
            self._plugins,
            url,
            Credentials(self._token),
            queen_url,
            registry_url,
            context.environment(),
        )
        self._stack.push_async_callback(service.stop)
        self._ends.at_once = service.supervisor.kill_all
        await service.start()
        await self._serve(make_hive_app(service, self._guard), sock)
        return service

    async def drain(self) -> None:
        """Refuse new requests for inference and wait for the open ones, as long as the settings say."""
        within_s = self._context.settings.queen.drain_s
        relays = [queen.relay.drain(within_s) for queen in self._queens]
        await asyncio.gather(*relays, *(keeper.drain(within_s) for keeper in self._keepers))

    async def _serve(
        self, app: AsgiApp, sock: socket.socket, direct: DirectRoutes | None = None, *, first: bool = True
    ) -> None:
        server = HttpServer(app, sock, direct=direct, first=first)
        self._servers.append(server)
        await server.start()

    async def _stop_servers(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers))

    def _close_sockets(self) -> None:
        for sock in self._sockets:
            sock.close()
