"""Running jobs: one task each, events to memory at once and to the store soon after."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import msgspec

from rbee.contract.errors import CancelledByCallerError, InvalidRequestError, NotFoundError, RbeeError, UnavailableError
from rbee.contract.wire import JobEvent
from rbee.jobs.live import LiveJob, LiveJobs
from rbee.jobs.narrator import Narrator
from rbee.jobs.store import JobStore
from rbee.jobs.writer import End, Row, Writer

log = logging.getLogger(__name__)

JobHandler = Callable[[dict[str, Any], Narrator], Awaitable[Any]]
"""Does the work of one operation; what it returns, unless None, becomes a last ``data`` event ``result``."""

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


class JobRunner:
    """Takes jobs, runs their handlers, streams and stores their events.

    All events of a job are in memory while it runs and `linger_s` longer, so that whoever submitted a short one finds
    all of it.  Tokens of an answer are never stored: like prompts they are the user's own.

    Args:
        store: opened and closed by this runner.
        handlers: by name of operation.
        observe: told every event, for plugins.
        keep: how long ended jobs are remembered.
        keep_ended: how many of them at most.
        linger_s: how long an ended job stays in memory.
    """

    def __init__(
        self,
        store: JobStore,
        handlers: Mapping[str, JobHandler],
        observe: Callable[[JobEvent], None] = lambda _: None,
        keep: timedelta = timedelta(days=7),
        keep_ended: int = 1000,
        linger_s: float = 60.0,
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._observe = observe
        self._live = LiveJobs(linger_s)
        self._writer = Writer(store, keep, keep_ended)
        self._writing: asyncio.Task[None] | None = None
        self._finishing: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self) -> None:
        """Open the store; jobs that an earlier life left unfinished end as failed, with the reason."""
        await self._store.open()
        await self._writer.prune()
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
        self._writing = asyncio.create_task(self._writer.run(), name="job-events")

    async def stop(self) -> None:
        """Cancel what runs, write what is left, close the store."""
        self._stopping = True
        try:
            running = [live.task for live in self._live.values() if live.task is not None]
            for live in list(self._live.values()):
                # One that has told its end is only writing it down.
                if live.task is not None and not live.ended:
                    live.task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await asyncio.gather(*self._finishing, return_exceptions=True)
            self._writer.stop()
            if self._writing is not None:
                await self._writing
            await self._writer.flush()
        except Exception:
            log.exception("the last events of jobs could not be stored")
        finally:
            await self._store.close()

    async def submit(self, body: dict[str, Any], correlation_id: str | None = None) -> str:
        """Start a job.

        Args:
            body: ``{"operation": NAME, ...}`` as in ``POST /v1/jobs``.
            correlation_id: of the request.

        Raises:
            InvalidRequestError: no such operation.
            UnavailableError: the program is stopping.
        """
        self._refuse_when_stopping()
        operation = body.get("operation")
        if not isinstance(operation, str) or operation not in self._handlers:
            names = ", ".join(sorted(self._handlers))
            raise InvalidRequestError(f"There is no operation {operation!r}. Operations: {names}.", param="operation")
        job_id = f"job-{uuid.uuid4()}"
        try:
            await self._store.add(job_id, operation, msgspec.json.encode(_without_secrets(body)), correlation_id)
        except Exception:
            # The store may have been closed just now, which is no defect then.
            self._refuse_when_stopping()
            raise
        self._refuse_when_stopping()

        live = self._live[job_id] = LiveJob()

        def emit(event: JobEvent) -> None:
            # Encoded first: what cannot be stored is told to nobody, and its sender hears of it.
            body = msgspec.json.encode(event)
            seq = live.add(event)
            if not _is_answer(event):
                self._writer.add(Row(job_id, seq, body, event.terminal))
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

    async def events(self, job_id: str, after: int = 0) -> AsyncGenerator[tuple[int, JobEvent]]:
        """A job's events with their numbers, from `after` on, until the terminal one.

        Raises:
            NotFoundError: there is no such job.
        """
        live = self._live.get(job_id)
        if live is None:
            if await self._store.get(job_id) is None:
                raise NotFoundError(f"There is no job {job_id!r}.")
            after = await self._before_unseen_end(job_id, after)
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

    async def _before_unseen_end(self, job_id: str, after: int) -> int:
        """`after`, or what is before the end where a watcher's number is a token's of an earlier life.

        A job that was cut off is ended with the first number that is free in the store, which knows no tokens; they
        may have had higher ones.
        """
        last = await self._store.last_seq(job_id)
        if after < last:
            return after
        rows = await self._store.events(job_id, last - 1)
        cut_off = any(msgspec.json.decode(body, type=JobEvent).code == "UNAVAILABLE" for _, body in rows)
        return last - 1 if cut_off else after

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
        # A task of its own: a second cancellation must not leave the job 'running' in the store.
        finishing = asyncio.create_task(self._finish(narrator.job_id, End(state, code, message)))
        self._finishing.add(finishing)
        finishing.add_done_callback(self._finishing.discard)
        await asyncio.shield(finishing)

    async def _finish(self, job_id: str, end: End) -> None:
        try:
            await self._writer.end(job_id, end)
        finally:
            self._live.end(job_id)

    def _refuse_when_stopping(self) -> None:
        if self._stopping:
            raise UnavailableError("The program is stopping and takes no jobs any more.")


def _is_answer(event: JobEvent) -> bool:
    """Whether an event is a piece of an answer: the user's own, and one row each if it were stored."""
    return event.type == "data" and event.action == "token"


def _without_secrets(body: dict[str, Any]) -> dict[str, Any]:
    """What is stored of a request: prompts are the user's own and are not kept."""
    return {key: value for key, value in body.items() if key not in {"prompt", "messages"}}
