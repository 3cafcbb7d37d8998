"""Word that a model's workers have changed, for those who wait until one loads."""

from __future__ import annotations

import asyncio


class Changes:
    """Waiters by model; a word wakes all of a model's."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}

    def tell(self, model_id: str) -> None:
        """Something about the model's workers has changed."""
        event = self._waiting.pop(model_id, None)
        if event is not None:
            event.set()

    async def wait(self, model_id: str, seconds: float) -> None:
        """Return at the next word, or after so many seconds: silence changes presence without a word."""
        event = self._waiting.setdefault(model_id, asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return
