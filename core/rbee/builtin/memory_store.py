"""The presence store that needs nothing: leases in the registry's own memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from rbee.contract.presence import PresenceChange, PresenceEntry, PresenceEvent, PresenceStore

_REMEMBERED = 4096


class MemoryPresenceStore(PresenceStore):
    """Keys in a dictionary, expiry by the event loop's clock.

    Leases are gone with the process; components register again within a heartbeat, which is why that is enough.
    """

    name = "memory"

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._entries: dict[str, PresenceEntry] = {}
        self._deadlines: dict[str, float] = {}
        self._revision = 0
        self._events: deque[PresenceEvent] = deque(maxlen=_REMEMBERED)
        self._changed: asyncio.Condition | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._woken: asyncio.Event | None = None

    async def open(self) -> None:
        self._changed = asyncio.Condition()
        self._woken = asyncio.Event()
        self._sweeper = asyncio.create_task(self._sweep(), name="presence-expiry")

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None

    async def put(self, key: str, value: bytes, ttl_s: float) -> int:
        await self._expire()
        present = self._entries.get(key)
        self._deadlines[key] = self._now() + ttl_s
        self._wake()
        if present is not None and present.value == value:
            return present.revision
        change = PresenceChange.JOINED if present is None else PresenceChange.CHANGED
        entry = await self._record(change, key, value)
        self._entries[key] = entry
        return entry.revision

    async def renew(self, key: str, ttl_s: float) -> bool:
        await self._expire()
        if key not in self._entries:
            return False
        self._deadlines[key] = self._now() + ttl_s
        return True

    async def drop(self, key: str) -> bool:
        await self._expire()
        return await self._remove(key)

    async def list(self, prefix: str = "") -> tuple[list[PresenceEntry], int]:
        await self._expire()
        found = [self._entries[key] for key in sorted(self._entries) if key.startswith(prefix)]
        return found, self._revision

    async def watch(self, prefix: str = "", after: int = 0) -> AsyncIterator[PresenceEvent]:
        condition = self._condition()
        seen = after
        while True:
            async with condition:
                oldest = self._events[0].entry.revision if self._events else self._revision + 1
                if seen + 1 < oldest and seen < self._revision:
                    raise LookupError(f"revision {seen} is older than the store remembers ({oldest})")
                pending = [event for event in self._events if event.entry.revision > seen]
                if not pending:
                    await condition.wait()
                    continue
            for event in pending:
                seen = event.entry.revision
                if event.entry.key.startswith(prefix):
                    yield event

    def _now(self) -> float:
        return self._clock() if self._clock is not None else asyncio.get_running_loop().time()

    def _condition(self) -> asyncio.Condition:
        if self._changed is None:
            raise RuntimeError("the presence store was used before it was opened")
        return self._changed

    def _wake(self) -> None:
        if self._woken is not None:
            self._woken.set()

    async def _record(self, change: PresenceChange, key: str, value: bytes) -> PresenceEntry:
        condition = self._condition()
        self._revision += 1
        entry = PresenceEntry(key=key, value=value, revision=self._revision)
        self._events.append(PresenceEvent(change=change, entry=entry))
        async with condition:
            condition.notify_all()
        return entry

    async def _remove(self, key: str) -> bool:
        entry = self._entries.pop(key, None)
        self._deadlines.pop(key, None)
        if entry is None:
            return False
        await self._record(PresenceChange.LEFT, key, entry.value)
        return True

    async def _expire(self) -> None:
        now = self._now()
        for key in [key for key, deadline in self._deadlines.items() if deadline <= now]:
            await self._remove(key)

    async def _sweep(self) -> None:
        woken = self._woken
        if woken is None:
            raise RuntimeError("the sweep runs only in an open store")
        while True:
            woken.clear()
            wait = min(self._deadlines.values()) - self._now() if self._deadlines else None
            try:
                # A margin, so that the key is past its deadline when the sweep looks.
                async with asyncio.timeout(None if wait is None else max(wait, 0.0) + 0.01):
                    await woken.wait()
            except TimeoutError:
                await self._expire()
