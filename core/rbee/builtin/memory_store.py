"""The presence store that needs nothing: leases in the registry's own memory."""

from __future__ import annotations

import asyncio
import bisect
import heapq
from collections import deque
from collections.abc import AsyncGenerator, Callable

from rbee.contract.presence import PresenceChange, PresenceEntry, PresenceEvent, PresenceStore

_REMEMBERED = 4096


class MemoryPresenceStore(PresenceStore):
    """Keys in a dictionary, expiry by the event loop's clock.

    A renewal costs the same however many leases there are: thousands of components renew theirs all the time.

    Leases are gone with the process; components register again within a heartbeat, which is why that is enough.
    """

    name = "memory"

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._entries: dict[str, PresenceEntry] = {}
        self._sorted: list[str] = []
        self._deadlines: dict[str, float] = {}
        self._due: list[tuple[float, str]] = []
        self._queued: dict[str, float] = {}
        self._revision = 0
        self._events: deque[PresenceEvent] = deque(maxlen=_REMEMBERED)
        self._changed = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None
        self._woken: asyncio.Event | None = None
        self._closed = False

    async def open(self) -> None:
        self._closed = False
        self._changed = asyncio.Event()
        self._woken = asyncio.Event()
        self._sweeper = asyncio.create_task(self._sweep(), name="presence-expiry")

    async def close(self) -> None:
        self._closed = True
        self._changed.set()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None

    async def put(self, key: str, value: bytes, ttl_s: float) -> int:
        # No await from here to the end: nobody may see the revision without its entry.
        self._wake()
        self._expire()
        present = self._entries.get(key)
        self._hold(key, ttl_s)
        if present is not None and present.value == value:
            return present.revision
        change = PresenceChange.JOINED if present is None else PresenceChange.CHANGED
        return self._record(change, key, value).revision

    async def renew(self, key: str, ttl_s: float) -> bool:
        self._expire()
        if key not in self._entries:
            return False
        self._hold(key, ttl_s)
        return True

    async def drop(self, key: str) -> bool:
        self._expire()
        return self._remove(key)

    async def list(self, prefix: str = "") -> tuple[list[PresenceEntry], int]:
        self._expire()
        found = []
        for index in range(bisect.bisect_left(self._sorted, prefix), len(self._sorted)):
            key = self._sorted[index]
            if not key.startswith(prefix):
                break
            found.append(self._entries[key])
        return found, self._revision

    async def get(self, key: str) -> PresenceEntry | None:
        self._expire()
        return self._entries.get(key)

    async def revision(self) -> int:
        self._expire()
        return self._revision

    async def watch(self, prefix: str = "", after: int = 0) -> AsyncGenerator[PresenceEvent]:
        seen = after
        if after > self._revision:
            raise LookupError(f"revision {after} is not of this store, which is at {self._revision}")
        while not self._closed:
            changed = self._changed
            oldest = self._events[0].entry.revision if self._events else self._revision + 1
            if seen + 1 < oldest and seen < self._revision:
                raise LookupError(f"revision {seen} is older than the store remembers ({oldest})")
            pending = [event for event in self._events if event.entry.revision > seen]
            for event in pending:
                seen = event.entry.revision
                if event.entry.key.startswith(prefix):
                    yield event
            if not pending:
                await changed.wait()

    def _now(self) -> float:
        return self._clock() if self._clock is not None else asyncio.get_running_loop().time()

    def _wake(self) -> None:
        if self._woken is None:
            raise RuntimeError("the presence store was used before it was opened")
        self._woken.set()

    def _record(self, change: PresenceChange, key: str, value: bytes) -> PresenceEntry:
        """Entry, event, and only then those who wait for it."""
        self._revision += 1
        entry = PresenceEntry(key=key, value=value, revision=self._revision)
        if change is PresenceChange.JOINED:
            bisect.insort(self._sorted, key)
        if change is not PresenceChange.LEFT:
            self._entries[key] = entry
        self._events.append(PresenceEvent(change=change, entry=entry))
        # Watchers hold the event they wait for, so each change gets a fresh one.
        self._changed.set()
        self._changed = asyncio.Event()
        return entry

    def _remove(self, key: str) -> bool:
        entry = self._entries.pop(key, None)
        self._deadlines.pop(key, None)
        if entry is None:
            return False
        del self._sorted[bisect.bisect_left(self._sorted, key)]
        self._record(PresenceChange.LEFT, key, entry.value)
        return True

    def _hold(self, key: str, ttl_s: float) -> None:
        """Set a key's deadline; one that only moves away is queued again when its old place comes up."""
        deadline = self._deadlines[key] = self._now() + ttl_s
        if key not in self._queued or deadline < self._queued[key]:
            self._queue(key, deadline)

    def _queue(self, key: str, deadline: float) -> None:
        self._queued[key] = deadline
        heapq.heappush(self._due, (deadline, key))

    def _expire(self) -> None:
        now = self._now()
        while self._due and self._due[0][0] <= now:
            place, key = heapq.heappop(self._due)
            if self._queued.get(key) != place:
                continue
            del self._queued[key]
            deadline = self._deadlines.get(key)
            if deadline is None:
                continue
            if deadline <= now:
                self._remove(key)
            else:
                self._queue(key, deadline)

    async def _sweep(self) -> None:
        woken = self._woken
        if woken is None:
            raise RuntimeError("the sweep runs only in an open store")
        while True:
            woken.clear()
            wait = self._due[0][0] - self._now() if self._due else None
            try:
                # A margin, so that the key is past its deadline when the sweep looks.
                async with asyncio.timeout(None if wait is None else max(wait, 0.0) + 0.01):
                    await woken.wait()
            except TimeoutError:
                self._expire()
