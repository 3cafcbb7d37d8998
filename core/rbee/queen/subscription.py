"""One address at which a hive's stream is read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(eq=False, kw_only=True)
class Subscription:
    """What the queen knows of one stream.

    Attributes:
        hive_id: whose it is.
        url: where it is read.
        instance_id: the instance that has answered here.  Until it is another's turn, what it believes to be its own
            address does not count.
        answered: whether any has.
        heard_at: when the last line came, by the queen's clock; None while there is no stream.
        again: set when it may be worth trying before the wait is over.
        warned: whether it was told that something else than the hive answers.
        task: reads it.
    """

    hive_id: str
    url: str
    instance_id: str | None = None
    answered: bool = False
    heard_at: float | None = None
    warned: bool = False
    again: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    async def wait(self, seconds: float) -> None:
        """Return after so many seconds, or as soon as there is news of the hive."""
        self.again.clear()
        try:
            async with asyncio.timeout(seconds):
                await self.again.wait()
        except TimeoutError:
            return
