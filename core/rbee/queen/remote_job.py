"""A job on a hive, followed from here to its end, over lines that may break."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from rbee.clients import HiveClient, jittered
from rbee.contract.errors import NotFoundError, UnavailableError, UnreachableError
from rbee.contract.wire import JobEvent
from rbee.jobs import narration

log = logging.getLogger(__name__)

_FIRST_S = 0.25
_LONGEST_S = 4.0

Reach = Callable[[], AbstractAsyncContextManager[HiveClient]]
"""Opens a line to the hive at its present address."""


class RemoteJob:
    """One job on a hive.

    Args:
        hive_id: of the hive.
        job_id: of the job there.
        reach: opens a line to the hive.
        patience_s: how long a line that broke is tried again before it is given up, since the last event; 0 gives up
            at once.
    """

    def __init__(self, hive_id: str, job_id: str, reach: Reach, patience_s: float) -> None:
        self._hive_id = hive_id
        self._job_id = job_id
        self._reach = reach
        self._patience_s = patience_s
        self._last = 0

    async def follow(self, take: Callable[[JobEvent], None]) -> JobEvent:
        """Give each event once and in order to `take`, but for the terminal one, which is returned.

        Raises:
            UnreachableError: the line broke, and could not be taken up again in time.
            UnavailableError: the hive has forgotten the job.
        """
        now = asyncio.get_running_loop().time
        broken_at: float | None = None
        wait = _FIRST_S
        while True:
            before = self._last
            try:
                return await self._read(take)
            except UnreachableError as error:
                if self._last > before or broken_at is None:
                    broken_at, wait = now(), _FIRST_S
                    if self._patience_s > 0:
                        log.warning("job %s on hive %s: %s Taking it up again.", self._job_id, self._hive_id, error)
                        take(self._interrupted())
                if now() - broken_at >= self._patience_s:
                    raise
            except NotFoundError as error:
                if broken_at is None:
                    raise
                raise UnavailableError(
                    f"Hive {self._hive_id!r} is back and no longer knows its job {self._job_id!r}; start it again."
                ) from error
            await asyncio.sleep(jittered(wait))
            wait = min(wait * 2, _LONGEST_S)

    async def cancel(self) -> None:
        """Ask the hive to end it; harmless when it has."""
        async with self._reach() as hive:
            await hive.jobs.cancel(self._job_id)

    async def _read(self, take: Callable[[JobEvent], None]) -> JobEvent:
        async with self._reach() as hive, contextlib.aclosing(hive.jobs.numbered(self._job_id, self._last)) as events:
            async for number, event in events:
                if event.terminal:
                    return event
                self._last = max(self._last, number)
                take(event)
        # A stream that was taken up behind the job's end has nothing to tell but the end of the stream.
        raise UnavailableError(f"Hive {self._hive_id!r} did not say how its job {self._job_id!r} ended.")

    def _interrupted(self) -> JobEvent:
        human = f"The line to hive {self._hive_id} broke; its job goes on there and is taken up again"
        return narration("queen", "reconnect", human, self._hive_id, self._job_id)
