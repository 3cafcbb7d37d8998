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


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: several servers share one process, which has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


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
            timeout_graceful_shutdown=grace_s,
        )
        # uvicorn would make one of its own from files, and could not take a renewed certificate.
        config.load()
        config.ssl = None if tls is None else tls.server_context()
        self._server = _Server(config)
        self._socket = sock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve; returns once requests are answered.

        Raises:
            RuntimeError: the application's start failed; its log has the reason.
        """
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("an application did not start; the log has the reason")
            # uvicorn has no event for this.
            await asyncio.sleep(0.005)

    def stop_listening(self) -> None:
        """Take no new connection; those that are open go on."""
        for server in getattr(self._server, "servers", ()):
            server.close()

    async def stop(self) -> None:
        """Refuse new connections, let open requests finish for the grace period, close."""
        if self._task is None:
            self._socket.close()
            return
        self._server.should_exit = True
        await asyncio.gather(self._task, return_exceptions=True)
        self._socket.close()
        self._task = None
