"""One voice to many listeners, none of whom can make the others wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

_MOST_SUBJECTS = 10_000


class _Listener:
    """What one listener has not heard yet: the newest message on each subject, in the order of the first."""

    def __init__(self) -> None:
        self.waiting: dict[str, bytes] = {}
        self.news = asyncio.Event()
        self.ended = False


class Broadcast:
    """Messages to every listener.  One that falls behind hears of each subject the newest, and of none too late."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()
        self._closed = False

    def send(self, subject: str, message: bytes) -> None:
        """Give a message to all who listen now; it takes the place of one on the same subject that waits still."""
        for listener in self._listeners:
            if len(listener.waiting) >= _MOST_SUBJECTS and subject not in listener.waiting:
                del listener.waiting[next(iter(listener.waiting))]
            listener.waiting[subject] = message
            listener.news.set()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def close(self) -> None:
        """End every listener's stream, after what waits for it."""
        self._closed = True
        for listener in self._listeners:
            listener.ended = True
            listener.news.set()

    async def listen(self) -> AsyncGenerator[bytes]:
        """Messages from now on, until `close`."""
        if self._closed:
            return
        mine = _Listener()
        self._listeners.add(mine)
        try:
            while True:
                while mine.waiting:
                    yield mine.waiting.pop(next(iter(mine.waiting)))
                if mine.ended:
                    return
                mine.news.clear()
                await mine.news.wait()
        finally:
            self._listeners.discard(mine)
