"""Connections kept open between requests."""

from __future__ import annotations

import asyncio
import functools
import ssl

from rbee.eventloop import Writes
from rbee.gateway.dispatch import Target
from rbee.gateway.upstream import READ_BYTES, Connection, UpstreamError
from rbee.gateway.waited import Exchange

_CONNECT_S = 5.0
_IDLE_PER_TARGET = 256

_Key = tuple[str, int, bool, str | None]


class Pool:
    """Open connections by address; belongs to one event loop."""

    def __init__(self) -> None:
        self._idle: dict[_Key, list[Connection]] = {}
        self._writes = Writes()
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._closed = False

    def take(self, target: Target) -> Connection | None:
        """An idle connection, the one used last; None when there is none.

        It may have died this instant: then the receiver hears of it before any answer, and `Connection.fresh` is False.
        """
        idle = self._idle.get(_key(target))
        while idle:
            # The others may rest until their peers close them.
            connection = idle.pop()
            if connection.lost is None:
                return connection
        return None

    def idle(self, target: Target) -> int:
        """Connections to a target that wait for a request."""
        return len(self._idle.get(_key(target), ()))

    async def connect(self, target: Target) -> Connection:
        """A new connection.

        Raises:
            UpstreamError: nobody listens there, or does not take it in time.
        """
        key = _key(target)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._buffer, lambda one: self._free(key, one), self._writes),
                    target.host,
                    target.port,
                    ssl=(target.context or self._trusted) if target.tls else None,
                    server_hostname=target.server_name,
                )
        except (OSError, TimeoutError) as error:
            raise UpstreamError(f"{key[0]}:{key[1]}: {str(error) or 'no answer'}", answered=False) from error
        return connection

    @functools.cached_property
    def _trusted(self) -> ssl.SSLContext:
        """Whom to trust, read when first needed: hundreds of certificates."""
        return ssl.create_default_context()

    async def request(self, target: Target, request: bytes) -> Exchange:
        """Send a whole request and wait for the head of its answer; a dead idle connection is replaced once, unnoticed.

        Raises:
            UpstreamError: no connection, or it broke before the head of the answer.
        """
        reused = self.take(target)
        if reused is not None:
            try:
                return await Exchange.sent(reused, request)
            except UpstreamError as error:
                if error.answered:
                    raise
        return await Exchange.sent(await self.connect(target), request)

    def done(self, exchange: Exchange) -> None:
        """The exchange is over: a connection whose answer is not complete is closed."""
        exchange.close()

    def close(self) -> None:
        """Close what is idle, and keep nothing from now on."""
        self._closed = True
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    def _free(self, key: _Key, connection: Connection) -> None:
        idle = self._idle.setdefault(key, [])
        if self._closed or len(idle) >= _IDLE_PER_TARGET:
            connection.abort()
        else:
            idle.append(connection)


def _key(target: Target) -> _Key:
    return target.host, target.port, target.tls, target.server_name
