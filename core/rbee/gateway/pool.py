"""Connections kept open between requests."""

from __future__ import annotations

import asyncio

from rbee.gateway.dispatch import Target
from rbee.gateway.upstream import Connection, UpstreamError, UpstreamResponse

_CONNECT_S = 5.0
_IDLE_PER_TARGET = 64


class Exchange:
    """One request on its way, with its answer; give it back with `Pool.done`."""

    __slots__ = ("connection", "key", "response")

    def __init__(self, connection: Connection, key: tuple[str, int], response: UpstreamResponse) -> None:
        self.connection = connection
        self.key = key
        self.response = response


class Pool:
    """Open connections by address; belongs to one event loop."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int], list[Connection]] = {}

    async def request(self, target: Target, request: bytes) -> Exchange:
        """Send a whole request; an idle connection that turns out dead is replaced once, unnoticed.

        Raises:
            UpstreamError: no connection, or it broke before the head of the answer.
        """
        key = (target.host, target.port)
        reused = self._take(key)
        if reused is not None:
            try:
                return await self._send(reused, key, request)
            except UpstreamError as error:
                if error.answered:
                    raise
        return await self._send(await self._connect(key), key, request)

    def done(self, exchange: Exchange) -> None:
        """Keep the connection for another request if its answer is complete, else close it."""
        idle = self._idle.setdefault(exchange.key, [])
        if exchange.connection.reusable and len(idle) < _IDLE_PER_TARGET:
            idle.append(exchange.connection)
        else:
            exchange.connection.abort()

    def close(self) -> None:
        """Close what is idle."""
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    def _take(self, key: tuple[str, int]) -> Connection | None:
        idle = self._idle.get(key, [])
        while idle:
            # The one used last: the others may rest until their peers close them.
            connection = idle.pop()
            if not connection.lost:
                return connection
        return None

    @staticmethod
    async def _connect(key: tuple[str, int]) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, connection = await loop.create_connection(lambda: Connection(loop), *key)
        except (OSError, TimeoutError) as error:
            raise UpstreamError(f"{key[0]}:{key[1]}: {str(error) or 'no answer'}", answered=False) from error
        return connection

    @staticmethod
    async def _send(connection: Connection, key: tuple[str, int], request: bytes) -> Exchange:
        try:
            response = await connection.send(request)
        except BaseException:
            connection.abort()
            raise
        return Exchange(connection, key, response)
