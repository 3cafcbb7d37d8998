"""Running jobs: one task each, events to memory at once and to the store soon after."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import msgspec

from rbee.contract.errors import CancelledByCallerError, InvalidRequestError, NotFoundError, RbeeError
from rbee.contract.wire import JobEvent
from rbee.jobs.narrator import Narrator
from rbee.jobs.store import JobStore

log = logging.getLogger(__name__)

JobHandler = Callable[[dict[str, Any], Narrator], Awaitable[Any]]
"""Does the work of one operation; what it returns, unless None, becomes a last ``data`` event ``result``."""

_FLUSH_S = 0.05
_STATES = MappingProxyType({"done": "completed", "error": "failed", "cancelled": "cancelled"})


class JobSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A job as lists show it."""

    job_id: str
    operation: str
    state: str
    created_at: datetime
    finished_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None


class _Live:
    """A job that runs in this process: its events so far and who waits for more."""

    def __init__(self) -> None:
        self.events: list[JobEvent] = []
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def add(self, event: JobEvent) -> int:
        self.events.append(event)
        # Watchers hold the event they wait for, so each change gets a fresh one.
        self.changed.set()
        self.changed = asyncio.Event()
        return len(self.events)

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1].terminal


class JobRunner:
    """Takes jobs, runs their handlers, streams and stores their events.

    Args:
        store: opened and closed by this runner.
        handlers: by name of operation.
        observe: told every event, for plugins.
        keep: how long ended jobs are remembered.
    """

    def __init__(
        self,
        store: JobStore,
        handlers: Mapping[str, JobHandler],
        observe: Callable[[JobEvent], None] = lambda _: None,
        keep: timedelta = timedelta(days=7),
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._observe = observe
        self._keep = keep
        self._live: dict[str, _Live] = {}
        self._unwritten: list[tuple[str, int, bytes]] = []
        self._write_lock = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the store; jobs that an earlier life left unfinished end as failed, with the reason."""
        await self._store.open()
        await self._store.prune(datetime.now(UTC) - self._keep)
        for row in await self._store.unfinished():
            message = f"Job '{row.id}' was cut off when the program stopped; start it again."
            seq = await self._store.last_seq(row.id) + 1
            stored = await self._store.events(row.id, seq - 2) if seq > 1 else []
            last = msgspec.json.decode(stored[-1][1], type=JobEvent) if stored else None
            if last is not None and last.terminal:
                # It had told its end, and only its state was not written any more.
                await self._store.set_state(row.id, _STATES[last.type], code=last.code, message=last.message)
                continue
            end = JobEvent(
                type="error",
                job_id=row.id,
                correlation_id=row.correlation_id,
                emitted_at_ms=int(datetime.now(UTC).timestamp() * 1000),
                code="UNAVAILABLE",
                message=message,
            )
            await self._store.append([(row.id, seq, msgspec.json.encode(end))])
            await self._store.set_state(row.id, "failed", code="UNAVAILABLE", message=message)
        self._flusher = asyncio.create_task(self._flush_forever(), name="job-events")

    async def stop(self) -> None:
        """Cancel what runs, write what is left, close the store."""
        running = [live for live in self._live.values() if live.task is not None]
        for live in running:
            # One that has told its end is only writing it down.
            if live.task is not None and not live.ended:
                live.task.cancel()
        await asyncio.gather(*(live.task for live in running if live.task is not None), return_exceptions=True)
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
        await self._flush()
        await self._store.close()

    async def submit(self, body: dict[str, Any], correlation_id: str | None = None) -> str:
        """Start a job.

        Args:
            body: ``{"operation": NAME, ...}`` as in ``POST /v1/jobs``.
            correlation_id: of the request.

        Raises:
            InvalidRequestError: no such operation.
        """
        operation = body.get("operation")
        if not isinstance(operation, str) or operation not in self._handlers:
            names = ", ".join(sorted(self._handlers))
            raise InvalidRequestError(f"There is no operation {operation!r}. Operations: {names}.", param="operation")
        job_id = f"job-{uuid.uuid4()}"
        await self._store.add(job_id, operation, msgspec.json.encode(_without_secrets(body)), correlation_id)

        live = self._live[job_id] = _Live()

        def emit(event: JobEvent) -> None:
            # Encoded first: what cannot be stored is told to nobody, and its sender hears of it.
            body = msgspec.json.encode(event)
            self._unwritten.append((job_id, live.add(event), body))
            self._observe(event)

        narrator = Narrator(job_id, correlation_id, emit)
        live.task = asyncio.create_task(self._run(operation, body, narrator), name=job_id)
        # A task that is cancelled before its first step never runs, and its job would never end.
        await asyncio.sleep(0)
        return job_id

    async def cancel_all(self) -> None:
        """Cancel every job and wait for their ends."""
        for job_id in list(self._live):
            await self.cancel(job_id)
        tasks = [live.task for live in self._live.values() if live.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def cancel(self, job_id: str) -> bool:
        """Ask a job to end; False when it had ended already.

        Raises:
            NotFoundError: there is no such job.
        """
        live = self._live.get(job_id)
        if live is None:
            if await self._store.get(job_id) is None:
                raise NotFoundError(f"There is no job {job_id!r}.")
            return False
        if live.ended or live.task is None:
            return False
        live.task.cancel()
        return True

    async def events(self, job_id: str, after: int = 0) -> AsyncIterator[tuple[int, JobEvent]]:
        """A job's events with their numbers, from `after` on, until the terminal one.

        Raises:
            NotFoundError: there is no such job.
        """
        live = self._live.get(job_id)
        if live is None:
            if await self._store.get(job_id) is None:
                raise NotFoundError(f"There is no job {job_id!r}.")
            while rows := await self._store.events(job_id, after):
                for seq, body in rows:
                    after = seq
                    yield seq, msgspec.json.decode(body, type=JobEvent)
            return
        while True:
            changed = live.changed
            while after < len(live.events):
                after += 1
                yield after, live.events[after - 1]
            if live.ended:
                return
            await changed.wait()

    async def check(self, job_id: str) -> None:
        """Raise NotFoundError unless the job exists: before a stream's first byte, where it can still be told."""
        if job_id not in self._live and await self._store.get(job_id) is None:
            raise NotFoundError(f"There is no job {job_id!r}.")

    async def list(self) -> list[JobSummary]:
        """The newest jobs, newest first."""
        return [
            JobSummary(
                job_id=row.id,
                operation=row.operation,
                state=row.state,
                created_at=row.created_at.replace(tzinfo=UTC),
                finished_at=row.finished_at.replace(tzinfo=UTC) if row.finished_at else None,
                error_code=row.error_code,
                error_message=row.error_message,
            )
            for row in await self._store.newest()
        ]

    async def _run(self, operation: str, body: dict[str, Any], narrator: Narrator) -> None:
        state, code, message = "completed", None, None
        try:
            await self._store.set_state(narrator.job_id, "running")
            result = await self._handlers[operation](body, narrator)
            if result is not None:
                narrator.data("result", result)
            narrator.end("done")
        except (asyncio.CancelledError, CancelledByCallerError):
            state = "cancelled"
            narrator.end("cancelled", message="Cancelled.")
        except RbeeError as error:
            state, code, message = "failed", error.code, error.message
            narrator.end("error", code=error.code, message=error.message, details=error.details or None)
        except Exception:
            log.exception("job %s (%s) failed unexpectedly", narrator.job_id, operation)
            state, code = "failed", "INTERNAL"
            message = f"Operation {operation!r} failed unexpectedly; the program's log has the details."
            narrator.end("error", code=code, message=message)
        # Shielded: a second cancellation must not leave the job 'running' in the store.
        await asyncio.shield(self._finish(narrator.job_id, state, code, message))

    async def _finish(self, job_id: str, state: str, code: str | None, message: str | None) -> None:
        await self._flush()
        await self._store.set_state(job_id, state, code=code, message=message)
        self._live.pop(job_id, None)

    async def _flush_forever(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            try:
                await self._flush()
            except Exception:
                log.exception("events of jobs could not be stored")

    async def _flush(self) -> None:
        async with self._write_lock:
            rows = list(self._unwritten)
            if rows:
                await self._store.append(rows)
                # Only now: events that could not be stored are tried again.
                del self._unwritten[: len(rows)]


def _without_secrets(body: dict[str, Any]) -> dict[str, Any]:
    """What is stored of a request: prompts are the user's own and are not kept."""
    return {key: value for key, value in body.items() if key not in {"prompt", "messages"}}
