"""One voice to many listeners, none of whom can make the others wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

_BEHIND = 256


class Broadcast:
    """Messages to every listener; one that falls behind loses the oldest."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes | None]] = set()
        self._closed = False

    def send(self, message: bytes) -> None:
        """Give a message to all who listen now."""
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(message)

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._queues)

    def close(self) -> None:
        """End every listener's stream."""
        self._closed = True
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def listen(self) -> AsyncGenerator[bytes]:
        """Messages from now on, until `close`."""
        if self._closed:
            return
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_BEHIND)
        self._queues.add(queue)
        try:
            while (message := await queue.get()) is not None:
                yield message
        finally:
            self._queues.discard(queue)
