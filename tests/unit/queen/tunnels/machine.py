"""A machine to which a line leads that can be cut, over real sockets of this machine's loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path, PurePosixPath

from rbee.contract.errors import ConfigurationError, PortTakenError, UnreachableError
from rbee.remote import Host, Ran

ADDRESS = "192.0.2.7"
"""The machine's, as it knows it itself."""


class Machine:
    """Connected to by `connect`, as often as it is there.

    Attributes:
        there: whether it can be connected to.
        answers: cleared, it lets those who connect wait.
        forwards: whether ports of it lead back.
        keeps_ports: its SSH server does not notice a line that is cut, and keeps the ports that it listens at.
        tries: how often somebody has tried to connect.
        hosts: the connections, the newest last.
    """

    def __init__(self) -> None:
        self.there = True
        self.answers = asyncio.Event()
        self.answers.set()
        self.forwards = True
        self.keeps_ports = False
        self.tries = 0
        self.hosts: list[Cable] = []
        self.held: dict[int, asyncio.Server] = {}

    async def connect(self) -> Host:
        self.tries += 1
        if not self.there:
            raise UnreachableError("attic is not there")
        await self.answers.wait()
        self.hosts.append(Cable(self, len(self.hosts) + 100))
        return self.hosts[-1]

    def cut(self) -> None:
        """The line breaks, and no new one is to be had."""
        self.there = False
        self.hosts[-1].break_off()

    async def close(self) -> None:
        for host in self.hosts:
            await host.close()
        for server in self.held.values():
            server.close()


class Cable(Host):
    """One connection; only what tunnels need of it."""

    name = "attic"
    user = "nobody"

    def __init__(self, machine: Machine, pid: int) -> None:
        self._machine = machine
        self.pid = pid
        self.silent = False
        self.closed = False
        self.broken = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float = 60.0,
        tell: Callable[[str], None] | None = None,
    ) -> Ran:
        # The one command: to end an earlier line's server, of that number.
        for port, server in list(self._machine.held.items()):
            if str(self._machine.hosts[-2].pid) == argv[4]:
                server.close()
                del self._machine.held[port]
        return Ran(argv=tuple(argv), code=0, out="", err="")

    async def send(
        self, source: Path, target: PurePosixPath, *, mode: int = 0o644, sent: Callable[[int], None] | None = None
    ) -> None:
        raise NotImplementedError

    async def write(self, target: PurePosixPath, content: bytes, *, mode: int = 0o600) -> None:
        raise NotImplementedError

    async def read(self, source: PurePosixPath, most: int = 1024 * 1024) -> bytes | None:
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def forward(self, host: str, port: int) -> AsyncIterator[int]:
        there = "127.0.0.1" if host == ADDRESS else host
        server = await asyncio.start_server(lambda r, w: self._pass(r, w, there, port), "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    @contextlib.asynccontextmanager
    async def backward(self, port: int, there: int = 0) -> AsyncIterator[int]:
        if not self._machine.forwards:
            raise ConfigurationError("attic forwards no port")
        try:
            server = await asyncio.start_server(lambda r, w: self._pass(r, w, "127.0.0.1", port), "127.0.0.1", there)
        except OSError as error:
            raise PortTakenError(f"port {there} of attic is taken") from error
        found = server.sockets[0].getsockname()[1]
        try:
            yield found
        finally:
            if self._machine.keeps_ports and self.broken.is_set():
                self._machine.held[found] = server
            else:
                server.close()

    async def lines(self, argv: Sequence[str]) -> AsyncGenerator[str]:
        yield f"{self.pid}|Mon Jan  1 00:00:{self.pid}|192.0.2.1 40000 {ADDRESS} 22"
        await self.broken.wait()
        if self.silent:
            await asyncio.Event().wait()
        raise UnreachableError("attic: the line broke")

    async def close(self) -> None:
        self.closed = True
        self.break_off()

    def break_off(self) -> None:
        self.broken.set()
        for writer in self._writers:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        if self.broken.is_set():
            writer.transport.abort()
            return
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            there_reader, there = await asyncio.open_connection(host, port)
            self._writers.add(there)
            await asyncio.gather(_copy(reader, there), _copy(there_reader, writer), return_exceptions=True)
        writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
