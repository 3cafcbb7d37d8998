"""Loading on demand: one load of what is wanted, however many wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from rbee.contract.errors import (
    CancelledByCallerError,
    EngineUnavailableError,
    InsufficientDiskError,
    InsufficientMemoryError,
    ModelFileError,
    RbeeError,
    RequestTimeoutError,
    UnreachableError,
    WorkerFailedError,
)
from rbee.contract.wire import JobEvent, RequestRecord
from rbee.queen.coming import Coming
from rbee.queen.hives import Hives
from rbee.scheduler import Start

log = logging.getLogger(__name__)

_CRASHES = 2
_MOST_FAILURES = 1000
_LEAST_FETCH = 16 * 1024 * 1024

Tell = Callable[[JobEvent], None]


_Troubles = (
    WorkerFailedError,
    ModelFileError,
    RequestTimeoutError,
    UnreachableError,
    InsufficientDiskError,
    InsufficientMemoryError,
    EngineUnavailableError,
)
"""What says something of a variant on a hive."""
_LONG_AGO_S = 600.0
"""After so long a crash of a worker that had loaded is no longer one in a row."""

_GOOD = 200


class _Failure(NamedTuple):
    when: float
    why: str
    times: int
    after_start: bool = False


class _Load:
    def __init__(self, start: Start) -> None:
        self.start = start
        self.fetched = start.present
        """Its files are there: it is a matter of seconds."""
        self.worker_id = f"worker-{uuid.uuid4().hex[:8]}"
        """Known before its hive knows it, so that the hive's figures show when it has got its share."""
        self.listeners: dict[object, Tell] = {}
        self.keep = False
        self.dying = False
        self.task: asyncio.Task[None] | None = None

    def tell(self, event: JobEvent) -> None:
        for listener in list(self.listeners.values()):
            listener(event)


class Demand:
    """Carries out `Start` decisions.

    Args:
        hives: where workers are started.
        clock: the telemetry's.
        evict: stops an idle worker, by hive and id, and tells of it; returns once what it held is free.
    """

    def __init__(
        self,
        hives: Hives,
        clock: Callable[[], float],
        evict: Callable[[str, str, Tell], Awaitable[None]],
    ) -> None:
        self._evict = evict
        self._hives = hives
        self._clock = clock
        self._loads: dict[str, list[_Load]] = {}
        self._failures: dict[tuple[str, str], _Failure] = {}
        self._took: dict[tuple[str, str], float] = {}
        self._fetch_bytes_s: dict[str, float] = {}

    def failure(self, model_id: str, hive_id: str) -> tuple[float, str, int] | None:
        """When and why the model last failed to load on a hive, and how often in a row, if not for the first time.

        One crash may be an accident, and whoever asks next finds out; two in a row are not.  A full disk is none the
        first time.
        """
        found = self._failures.get((model_id, hive_id))
        return None if found is None or found.times < _CRASHES else (found.when, found.why, found.times)

    def load_s(self, model_id: str, hive_id: str) -> float | None:
        """Seconds that the model lately took to load on a hive, its files being there; None when unknown."""
        return self._took.get((model_id, hive_id))

    def fetch_bytes_s(self, hive_id: str) -> float | None:
        """Bytes of models that a hive lately fetched a second; None before it has fetched any."""
        return self._fetch_bytes_s.get(hive_id)

    def coming(self, hive_id: str) -> list[Coming]:
        """Starts under way on a hive, from the decision on, what they wait for included."""
        return [
            Coming(load.worker_id, load.start.device, load.start.memory_bytes, load.start.threads, load.start.shares)
            for loads in self._loads.values()
            for load in loads
            if load.start.hive_id == hive_id
        ]

    @property
    def loading(self) -> bool:
        """Whether any start is under way."""
        return bool(self._loads)

    async def one_ends(self, within_s: float) -> bool:
        """Wait for the end, good or bad, of any start under way; whether one has ended in time."""
        tasks = [load.task for loads in self._loads.values() for load in loads if load.task is not None]
        if not tasks or within_s <= 0:
            return False
        done, _ = await asyncio.wait(tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = [load.task for loads in self._loads.values() for load in loads if load.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ensure(
        self, model_ids: Sequence[str], start: Start, hive_id: str | None, tell: Tell | None, *, keep: bool
    ) -> str | None:
        """Start the worker, or join a load that suits; returns when it serves.

        Args:
            model_ids: canonical names of all that will do; see `join`.
            start: the decision; ignored when joining.
            hive_id: the hive that the request insists on, None for any.
            tell: given the load's events.
            keep: the load goes on when nobody waits any more.  API clients give up and come back; a person who
                pressed Ctrl+C meant it.

        Returns:
            Its id; the queen may hear of it a moment later.  None when the load was given up that was joined.

        Raises:
            RbeeError: why it could not be loaded.
        """
        load = self._best(model_ids, hive_id, start, at_any_rate=False)
        if load is not None:
            return load.worker_id if await self._follow(load, tell, keep=keep) else None
        load = _Load(start)
        self._loads.setdefault(start.model_id, []).append(load)
        load.task = asyncio.create_task(self._run(start, load), name=f"load {start.model_id}")
        await self._join(load, tell, keep=keep)
        return load.worker_id

    def comes(self, model_ids: Sequence[str], hive_id: str | None) -> bool:
        """Whether one of the models is being loaded, or fetched for that, on a hive, or on any when that is None."""
        return any(
            hive_id in {None, load.start.hive_id} and not load.dying
            for model_id in model_ids
            for load in self._loads.get(model_id, ())
        )

    async def join(
        self,
        model_ids: Sequence[str],
        hive_id: str | None,
        tell: Tell | None,
        *,
        keep: bool,
        start: Start | None = None,
        at_any_rate: bool = False,
    ) -> bool:
        """Wait for a load of one of the models that is under way; False when none suits.

        A load that has its files suits whoever wants any of the variants.  One that still fetches suits when `start`
        means the very same, or would not be quicker: it has to fetch, too, or to stop others.

        Args:
            model_ids: canonical names of all that will do.
            hive_id: as in `ensure`.
            tell: likewise.
            keep: likewise.
            start: what would be started instead; None when nothing would.
            at_any_rate: whatever is under way suits, since nothing else can be had.
        """
        load = self._best(model_ids, hive_id, start, at_any_rate=at_any_rate)
        if load is None:
            return False
        await self._follow(load, tell, keep=keep)
        return True

    def _best(
        self, model_ids: Sequence[str], hive_id: str | None, start: Start | None, *, at_any_rate: bool
    ) -> _Load | None:
        loads = [
            load
            for model_id in model_ids
            for load in self._loads.get(model_id, ())
            if hive_id in {None, load.start.hive_id} and (at_any_rate or _is_as_good(load, start))
        ]
        return min(loads, key=lambda load: not load.fetched, default=None)

    async def _follow(self, load: _Load, tell: Tell | None, *, keep: bool) -> bool:
        """Wait for a load of somebody else's; False when it is given up."""
        if not load.dying:
            await self._join(load, tell, keep=keep)
            return True
        if load.task is not None:
            # Its last waiter has just left.  It is over before anything new can start there.
            await asyncio.wait([load.task])
        return False

    async def _join(self, load: _Load, tell: Tell | None, *, keep: bool) -> None:
        if load.task is None:
            raise RuntimeError("a load without its task")
        load.keep = load.keep or keep
        me = object()
        load.listeners[me] = tell or _nothing
        try:
            await asyncio.shield(load.task)
        except asyncio.CancelledError:
            if load.task.cancelled():
                raise CancelledByCallerError("The load was cancelled.") from None
            raise
        finally:
            del load.listeners[me]
            if not load.listeners and not load.keep and not load.task.done():
                load.dying = True
                load.task.cancel()
                with contextlib.suppress(asyncio.CancelledError, RbeeError):
                    await load.task

    async def _run(self, start: Start, load: _Load) -> None:
        key = (start.model_id, start.hive_id)
        try:
            if not start.present:
                # Before anybody is stopped for it: it may not be there, or have no room on the disk.
                began = self._clock()
                found = await self._hives.run(start.hive_id, "model_download", {"model": start.model_id}, load.tell)
                self._measure_fetch(start.hive_id, found.get("fetched_bytes"), self._clock() - began)
                load.fetched = True
            for worker_id in start.evict:
                log.info("stopping idle worker %s on %s for %s", worker_id, start.hive_id, start.model_id)
                await self._evict(start.hive_id, worker_id, load.tell)
            began = self._clock()
            await self._hives.run(
                start.hive_id,
                "worker_spawn",
                {
                    "model": start.model_id,
                    "worker": start.engine,
                    "device": start.device,
                    **({} if start.context_length is None else {"context_length": start.context_length}),
                    "worker_id": load.worker_id,
                },
                load.tell,
            )
            failed = self._failures.get(key)
            if failed is not None and not failed.after_start:
                del self._failures[key]
            self._took.pop(key, None)
            self._took[key] = self._clock() - began
            if len(self._took) > _MOST_FAILURES:
                del self._took[next(iter(self._took))]
        except _Troubles as error:
            self._remember(key, error)
            raise
        finally:
            loads = self._loads[start.model_id]
            loads.remove(load)
            if not loads:
                del self._loads[start.model_id]
            if load.task is not None:
                # Whoever waited has left already: nobody else would fetch the exception.
                load.task.add_done_callback(_consume)

    def _measure_fetch(self, hive_id: str, fetched_bytes: object, seconds: float) -> None:
        # What is quick is mostly what was there already, and small files say little of a line.
        if not isinstance(fetched_bytes, int) or fetched_bytes < _LEAST_FETCH or seconds <= 0:
            return
        newest, before = fetched_bytes / seconds, self._fetch_bytes_s.pop(hive_id, None)
        self._fetch_bytes_s[hive_id] = newest if before is None else (before + newest) / 2
        if len(self._fetch_bytes_s) > _MOST_FAILURES:
            del self._fetch_bytes_s[next(iter(self._fetch_bytes_s))]

    def crashed(self, model_id: str, hive_id: str, why: str) -> None:
        """A worker that had loaded has crashed: until one answers a request, each further time counts.

        Args:
            model_id: its model.
            hive_id: its hive.
            why: in words, for whoever is refused because of it.
        """
        self._remember((model_id, hive_id), WorkerFailedError(why), after_start=True)

    def answered(self, record: RequestRecord) -> None:
        """A request has ended: where one was answered whole, earlier crashes were accidents."""
        if self._failures and record.error_code is None and record.status == _GOOD:
            self._failures.pop((record.model_id or "", record.hive_id or ""), None)

    def _remember(self, key: tuple[str, str], error: RbeeError, *, after_start: bool = False) -> None:
        # The newest last, so that the oldest are forgotten.
        before = self._failures.pop(key, None)
        if before is not None and after_start and self._clock() - before.when > _LONG_AGO_S:
            before = None
        times = 1 if before is None else before.times + 1
        # Files that have no room have none a moment later either.
        times = max(times, _CRASHES) if isinstance(error, InsufficientDiskError) else times
        self._failures[key] = _Failure(self._clock(), error.message, times, after_start)
        if len(self._failures) > _MOST_FAILURES:
            del self._failures[next(iter(self._failures))]


def _is_as_good(load: _Load, start: Start | None) -> bool:
    """Whether a load is no worse to wait for than what would be started."""
    if load.fetched or start is None:
        return load.fetched
    same = (load.start.model_id, load.start.hive_id) == (start.model_id, start.hive_id)
    return same or not start.present or bool(start.evict)


def _nothing(_event: JobEvent) -> None:
    return


def _consume(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
