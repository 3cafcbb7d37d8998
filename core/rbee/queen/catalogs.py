"""The queen's knowledge of what lies on the hives' disks: asked for when a hive's beat says that it has changed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator

from rbee.clients import backoff, jittered
from rbee.contract.errors import RbeeError, UnreachableError
from rbee.contract.wire import HeldModels, HiveInfo
from rbee.queen.held import HeldIndex

log = logging.getLogger(__name__)

_AT_ONCE = 16
_MOST_MODELS = 10_000
_REFRESH_S = 5.0

_Told = tuple[str | None, int]
"""Instance of a hive and its `models_seq`."""


class _Hive:
    """What is known of one hive's catalogue."""

    def __init__(self) -> None:
        self.told: _Told | None = None
        self.known: _Told | None = None
        self.due = 0.0
        self.task: asyncio.Task[None] | None = None
        self.waits = _retries()


class HiveCatalogs:
    """Keeps `index` in step with the hives.  A hive is asked once at a time, and never while its beat waits.

    What was known of a hive that does not answer stays until the hive itself is forgotten.

    Args:
        ask: brings the catalogue of a hive.
        clock: the telemetry's.
    """

    def __init__(self, ask: Callable[[str], Awaitable[HeldModels]], clock: Callable[[], float]) -> None:
        self.index = HeldIndex()
        self._ask = ask
        self._clock = clock
        self._hives: dict[str, _Hive] = {}
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._closed = False

    def heard(self, hive: HiveInfo) -> None:
        """A hive has beaten: asks it in the background when it has other models than are known."""
        if hive.models_seq is None or self._closed:
            return
        one = self._hives.get(hive.id)
        if one is None:
            one = self._hives[hive.id] = _Hive()
        one.told = (hive.instance_id, hive.models_seq)
        if one.told != one.known and one.task is None and self._clock() >= one.due:
            self._start(hive.id, one)

    async def refresh(self, hive_id: str) -> None:
        """Ask a hive now, for one who has just changed what it has; returns when it is known, or in a few seconds."""
        one = self._hives.get(hive_id)
        if one is None or self._closed:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REFRESH_S):
                if one.task is not None:
                    # What is under way may have been asked before the change.
                    await asyncio.wait([one.task])
                if self._hives.get(hive_id) is one and not self._closed:
                    await asyncio.wait([one.task or self._start(hive_id, one)])

    def forget(self, is_known: Callable[[str], bool]) -> None:
        """Forget the hives that are no longer known."""
        for hive_id in [hive_id for hive_id in self._hives if not is_known(hive_id)]:
            gone = self._hives.pop(hive_id)
            if gone.task is not None:
                gone.task.cancel()
            self.index.discard(hive_id)

    async def close(self) -> None:
        """Ask nobody any more."""
        self._closed = True
        tasks = [one.task for one in self._hives.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, hive_id: str, one: _Hive) -> asyncio.Task[None]:
        one.task = asyncio.create_task(self._refresh(hive_id, one), name=f"catalogue of {hive_id}")
        return one.task

    async def _refresh(self, hive_id: str, one: _Hive) -> None:
        told = one.told
        try:
            async with self._free:
                held = await self._ask(hive_id)
            if held.hive_id != hive_id:
                raise UnreachableError(f"Hive {held.hive_id!r} answers in the place of hive {hive_id!r}.")
            self._enter(hive_id, held)
        except Exception as error:
            # What was not foreseen, too: with each beat it would happen anew.
            one.due = self._clock() + jittered(next(one.waits))
            foreseen = isinstance(error, RbeeError)
            log.log(logging.DEBUG if foreseen else logging.ERROR, "catalogue of hive %s: %r", hive_id, error)
        else:
            one.known = (told[0] if told is not None else None, held.models_seq)
            one.waits, one.due = _retries(), 0.0
        finally:
            one.task = None

    def _enter(self, hive_id: str, held: HeldModels) -> None:
        if len(held.models) > _MOST_MODELS:
            log.warning("hive %s has %d models; %d are known", hive_id, len(held.models), _MOST_MODELS)
        self.index.put(hive_id, held.models[:_MOST_MODELS])


def _retries() -> Iterator[float]:
    waits = backoff()
    # The first wait is the one before the first try.
    next(waits)
    return waits
