"""Serving an ASGI application on a socket for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Protocol

import uvicorn

from rbee.eventloop import Writes
from rbee.http.direct import DirectRoutes
from rbee.http.protocol import BoundedProtocol
from rbee.trust.names import Peer

_KEEP_ALIVE_S = 75
_GRACE_S = 3
_LOOK_S = 0.01
"""How often an ending server looks for open requests: uvicorn has no event for the last one."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers and without its clock.

    Several servers share one process, which has signal handlers of its own.  uvicorn looks ten times a second whether
    it is to end; this one sleeps until it is told, and ends as soon as the last request has.

    Args:
        config: of uvicorn.
        grace_s: seconds that open requests get when it ends.
    """

    def __init__(self, config: uvicorn.Config, grace_s: float) -> None:
        super().__init__(config)
        self.begun = asyncio.Event()
        self.ending = asyncio.Event()
        self._grace_s = grace_s

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.begun.set()

    async def main_loop(self) -> None:
        await self.ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        # What is closed is told by callbacks of this turn of the loop; `_open` must not wait for them by its clock.
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(self._grace_s):
                while self._open():  # noqa: ASYNC110  # there is no event
                    await asyncio.sleep(_LOOK_S)
                for server in self.servers:
                    await server.wait_closed()
        except TimeoutError:
            for task in tuple(self.server_state.tasks):
                task.cancel()
        await self.lifespan.shutdown()

    def _open(self) -> bool:
        return bool(self.server_state.connections or self.server_state.tasks)


class Tls(Protocol):
    """What a server shows to its callers, and whom it believes; `rbee.trust.identity.Identity` is one."""

    def server_context(self) -> ssl.SSLContext:
        """For connections from others."""

    def judge(self, der: bytes) -> Peer | None:
        """Who the holder of a certificate is; None when it is not to be believed."""

    def holds(self, peer: Peer) -> bool:
        """Whether a certificate that was judged before was not revoked meanwhile."""


class HttpServer:
    """One application on one socket.

    Args:
        app: an ASGI application.
        sock: listening already, so that a taken port was noticed earlier.
        grace_s: seconds that open requests get when it stops.
        direct: serves some routes below ASGI; None where a program has none.
        first: no other server has this application: it is told of its start and end once.
        tls: speaks TLS; None for plain text.
    """

    def __init__(
        self,
        app: Any,
        sock: socket.socket,
        grace_s: int = _GRACE_S,
        direct: DirectRoutes | None = None,
        *,
        first: bool = True,
        tls: Tls | None = None,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=functools.partial(
                BoundedProtocol,
                direct=direct,
                writes=None if direct is None else Writes(),
                judge=None if tls is None else tls.judge,
                holds=None if tls is None else tls.holds,
            ),  # type: ignore[arg-type]  # called as the class is
            loop="none",
            lifespan="on" if first else "off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        # uvicorn would make one of its own from files, and could not take a renewed certificate.
        config.load()
        config.ssl = None if tls is None else tls.server_context()
        self._server = _Server(config, grace_s)
        self._socket = sock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve; returns once requests are answered.

        Raises:
            RuntimeError: the application's start failed; its log has the reason.
        """
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        begun = asyncio.ensure_future(self._server.begun.wait())
        try:
            await asyncio.wait({self._task, begun}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            begun.cancel()
        if not self._server.begun.is_set():
            self._task.result()
            raise RuntimeError("an application did not start; the log has the reason")

    def stop_listening(self) -> None:
        """Take no new connection; those that are open go on."""
        for server in getattr(self._server, "servers", ()):
            server.close()

    async def stop(self) -> None:
        """Refuse new connections, let open requests finish for the grace period, close."""
        if self._task is None:
            self._socket.close()
            return
        self._server.ending.set()
        await asyncio.gather(self._task, return_exceptions=True)
        self._socket.close()
        self._task = None
