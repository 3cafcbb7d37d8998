"""Word that a model's workers have changed, for those who wait until one loads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Changes:
    """Waiters by model; a word wakes all of a model's."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def tell(self, model_id: str) -> None:
        """Something about the model's workers has changed."""
        for event in self._waiting.pop(model_id, ()):
            event.set()

    async def wait(self, model_ids: Sequence[str], seconds: float) -> None:
        """Return at the next word of any of the models, or after so many seconds.

        Silence changes presence without a word.
        """
        event = asyncio.Event()
        for model_id in model_ids:
            self._waiting.setdefault(model_id, set()).add(event)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return
        finally:
            for model_id in model_ids:
                waiting = self._waiting.get(model_id, set())
                waiting.discard(event)
                if not waiting:
                    self._waiting.pop(model_id, None)
