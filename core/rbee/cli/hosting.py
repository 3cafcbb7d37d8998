"""Running registry, queen and hive in one process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable

from rbee.cli.colony import ColonyFiles, ColonyRecord
from rbee.cli.context import Context
from rbee.contract.errors import ConfigurationError, ConflictError, UnreachableError
from rbee.gateway import Pool
from rbee.hive import HiveService
from rbee.hive import make_app as make_hive_app
from rbee.http.front import Front
from rbee.http.guard import Guard
from rbee.http.ports import listen, port_of, url_of
from rbee.http.server import HttpServer
from rbee.plugins import load_plugins
from rbee.queen import QueenService
from rbee.queen import make_app as make_queen_app
from rbee.registry import RegistryService
from rbee.registry import make_app as make_registry_app

log = logging.getLogger(__name__)

_HIVE_S = 15.0
_LIFE_S = 0.3
_USERS_POLL_S = 0.1
_MIB = 1024 * 1024


async def host_colony(
    context: Context, *, while_used: bool, on_ready: Callable[[ColonyRecord], None]
) -> signal.Signals | None:
    """Run until told to stop.

    Args:
        context: of the command.
        while_used: take free ports and end when nobody uses the colony.
        on_ready: called once everything answers.

    Returns:
        The signal that ended it, None when it was asked to.

    Raises:
        ConflictError: a colony of this home runs already.
        PortTakenError, ConfigurationError: as their names say.
    """
    context.folders.make()
    files = ColonyFiles(context.folders)
    # Not at the first failure: who only looks whether a colony runs holds the lock for an instant.
    if not files.life.exclusive(_LIFE_S):
        raise ConflictError(already_running(files))
    try:
        return await _host(context, files, while_used=while_used, on_ready=on_ready)
    finally:
        # The lock itself goes with the process: who sees it free knows that the process is gone.
        files.record.unlink(missing_ok=True)


def already_running(files: ColonyFiles) -> str:
    """The sentence for a second ``rbee up``."""
    record = files.read()
    if record is None:
        return "A colony is starting or stopping in this home; try again in a moment."
    return f"A colony is running already: process {record.pid}, API at {record.queen_url}/v1. Stop it: rbee down"


async def _host(
    context: Context, files: ColonyFiles, *, while_used: bool, on_ready: Callable[[ColonyRecord], None]
) -> signal.Signals | None:
    settings, folders, token = context.settings, context.folders, context.token()
    sockets = _sockets(context, free=while_used)
    urls = {name: url_of(settings.server.host, port_of(sock)) for name, sock in sockets.items()}
    plugins = load_plugins(os.environ.get("RBEE_PLUGINS"))
    guard = Guard(
        token=token,
        host=settings.server.host,
        allowed_hosts=settings.server.allowed_hosts,
        allowed_origins=settings.server.allowed_origins,
        require_token=settings.server.require_token,
    )
    ended, ended_by = asyncio.Event(), _Signal()
    ended_by.watch(ended)
    async with contextlib.AsyncExitStack() as stack:
        for sock in sockets.values():
            stack.callback(sock.close)
        servers: list[HttpServer] = []
        # Left in the opposite order: services first, whose ends end the streams that servers would wait for.
        stack.push_async_callback(_stop_servers, servers)
        store = plugins.registrations.presence_stores.get(settings.registry.store)()
        registry = RegistryService(store, settings.registry.online_s)
        stack.push_async_callback(registry.stop)
        await registry.start()
        await _serve(servers, make_registry_app(registry, guard), sockets["registry"])

        queen = QueenService(settings, folders, plugins, urls["queen"], token, urls["registry"])
        stack.push_async_callback(queen.stop)
        await queen.start()
        pool = Pool()
        stack.callback(pool.close)
        queen_app = make_queen_app(queen, guard, pool, settings.queen.max_body_mb * _MIB)
        await _serve(servers, queen_app, sockets["queen"])

        hive = HiveService(
            settings, folders, plugins, urls["hive"], token, urls["queen"], urls["registry"], context.environment()
        )
        stack.push_async_callback(hive.stop)
        ended_by.at_once = hive.supervisor.kill_all
        await hive.start()
        await _serve(servers, make_hive_app(hive, guard), sockets["hive"])

        try:
            await asyncio.wait_for(queen.first_hive(), _HIVE_S)
        except TimeoutError as error:
            raise UnreachableError(f"The hive did not report to the queen within {_HIVE_S:.0f} s.") from error
        record = ColonyRecord(
            pid=os.getpid(),
            registry_url=urls["registry"],
            queen_url=urls["queen"],
            hive_url=urls["hive"],
            started_at=time.time(),
            while_used=while_used,
        )
        files.keep.unlink(missing_ok=True)
        files.write(record)
        on_ready(record)
        unused = await _until_over(files, ended, queen, hive, while_used=while_used)
        # From here on nobody finds it any more.
        files.record.unlink(missing_ok=True)
        if unused:
            # Whoever asked is gone, by accident perhaps: workers need not finish what nobody reads.
            await queen.jobs.cancel_all()
        log.info("stopping")
    return ended_by.number


async def _serve(servers: list[HttpServer], app: Front, sock: socket.socket) -> None:
    server = HttpServer(app, sock)
    servers.append(server)
    await server.start()


async def _stop_servers(servers: list[HttpServer]) -> None:
    await asyncio.gather(*(server.stop() for server in servers))


async def _until_over(
    files: ColonyFiles, ended: asyncio.Event, queen: QueenService, hive: HiveService, *, while_used: bool
) -> bool:
    """Wait for whatever ends the colony; True when it is that nobody uses it."""
    unused: asyncio.Task[bool] | None = None
    ends: list[asyncio.Task[bool]] = [
        asyncio.create_task(ended.wait()),
        asyncio.create_task(queen.shutdown_asked.wait()),
        asyncio.create_task(hive.shutdown_asked.wait()),
    ]
    if while_used:
        unused = asyncio.create_task(_until_unused(files))
        ends.append(unused)
    try:
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        return unused is not None and unused in done
    finally:
        for task in ends:
            task.cancel()


async def _until_unused(files: ColonyFiles) -> bool:
    """Return when nobody shares the lock of users; never when the colony is to be kept."""
    while not files.users.try_exclusive():
        await asyncio.sleep(_USERS_POLL_S)
        if files.keep.exists():
            files.keep.unlink(missing_ok=True)
            files.mark_kept()
            await asyncio.Event().wait()
    return True


def _sockets(context: Context, *, free: bool) -> dict[str, socket.socket]:
    settings = context.settings
    ports = {"registry": settings.registry.port, "queen": settings.queen.port, "hive": settings.hive.port}
    chosen = [port for port in ports.values() if port]
    if not free and len(set(chosen)) < len(chosen):
        raise ConfigurationError(f"registry.port, queen.port and hive.port must differ: {', '.join(map(str, chosen))}.")
    sockets: dict[str, socket.socket] = {}
    try:
        for name, port in ports.items():
            sockets[name] = listen(settings.server.host, 0 if free else port, f"the {name}", f"{name}.port")
    except BaseException:
        for sock in sockets.values():
            sock.close()
        raise
    return sockets


class _Signal:
    """The first signal ends the colony in order, a second one at once."""

    def __init__(self) -> None:
        self.number: signal.Signals | None = None
        self.at_once: Callable[[], None] = lambda: None

    def watch(self, ended: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._received, number, ended)

    def _received(self, number: signal.Signals, ended: asyncio.Event) -> None:
        if self.number is not None:
            self.at_once()
            os._exit(128 + number)
        self.number = number
        ended.set()
