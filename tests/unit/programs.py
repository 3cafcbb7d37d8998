"""Registry, queen and hives as real servers in one process, on ports that the kernel chooses."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from rbee.builtin.memory_store import MemoryPresenceStore
from rbee.clients import Credentials
from rbee.hive import HiveService
from rbee.hive import make_app as hive_app
from rbee.http.guard import Guard
from rbee.http.ports import listen, port_of, url_of
from rbee.http.server import HttpServer
from rbee.plugins import Plugins, load_plugins
from rbee.queen import QueenService
from rbee.queen import make_app as queen_app
from rbee.registry import RegistryService
from rbee.registry import make_app as registry_app
from rbee.settings import Folders, Settings

TOKEN = "programs-in-a-test"
PATIENCE_S = 20.0


class Program:
    """One service with its server; counts what it is asked.

    Args:
        make: the service, which has `start` and `stop`, from its address.
        app: in front of it.
        port: 0 for a free one.
    """

    def __init__(self, make: Callable[[str], Any], app: Callable[[Any], Any], port: int = 0) -> None:
        self._sock = listen("127.0.0.1", port, "a test")
        self.port = port_of(self._sock)
        self.url = url_of("127.0.0.1", self.port)
        self.asked: Counter[str] = Counter()
        try:
            self.service = make(self.url)
            self._app = app(self.service)
        except BaseException:
            self._sock.close()
            raise
        self._server = HttpServer(self, self._sock, grace_s=0, direct=getattr(self._app, "direct", None))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.asked[f"{scope['method']} {scope['path']}"] += 1
        await self._app(scope, receive, send)

    async def start(self) -> None:
        await self.service.start()
        await self._server.start()

    async def stop(self) -> None:
        await self.service.stop()
        await self._server.stop()


class Programs:
    """Starts programs, and stops whatever is left of them at the end.

    Args:
        folder: of the test.
        settings: of all of them.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder = folder
        self.settings = settings
        self._plugins: Plugins = load_plugins("")
        self._running: list[Program] = []
        self._lives = 0

    async def registry(self, port: int = 0) -> Program:
        online_s = self.settings.registry.online_s
        return await self.add(
            Program(
                lambda url: RegistryService(MemoryPresenceStore(), online_s),
                lambda service: registry_app(service, self._guard),
                port,
            )
        )

    async def queen(self, registry_url: str | None = None, port: int = 0) -> Program:
        folders = self._folders()
        program = Program(
            lambda url: QueenService(self.settings, folders, self._plugins, url, Credentials(TOKEN), registry_url),
            lambda service: queen_app(service, self._guard, 2**20),
            port,
        )
        return await self.add(program)

    async def hive(
        self,
        name: str = "h",
        *,
        queen_url: str | None = None,
        registry_url: str | None = None,
        announced: str | None = None,
        port: int = 0,
    ) -> Program:
        hive = msgspec.structs.replace(self.settings.hive, id=name)
        settings = msgspec.structs.replace(self.settings, hive=hive)
        folders = self._folders()
        return await self.add(
            Program(
                lambda url: HiveService(
                    settings, folders, self._plugins, announced or url, Credentials(TOKEN), queen_url, registry_url, {}
                ),
                lambda service: hive_app(service, self._guard),
                port,
            )
        )

    async def stop(self, program: Program) -> None:
        self._running.remove(program)
        await program.stop()

    async def close(self) -> None:
        # The hives first, as in `rbee up`: they say good-bye to the queen.
        while self._running:
            await self._running.pop().stop()

    async def add(self, program: Program) -> Program:
        """Start a program, which is stopped at the end."""
        self._running.append(program)
        await program.start()
        return program

    @property
    def _guard(self) -> Guard:
        return Guard(token=TOKEN, host="127.0.0.1")

    def _folders(self) -> Folders:
        self._lives += 1
        folders = Folders.locate({"RBEE_HOME": str(self._folder / str(self._lives))})
        folders.make()
        return folders


async def until(check: Callable[[], Any], within: float = PATIENCE_S) -> Any:
    """The first truthy answer of `check`, which looks at the state of services in this process."""
    async with asyncio.timeout(within):
        while not (found := check()):  # states of three services have no event in common
            await asyncio.sleep(0.01)
        return found
