"""Running jobs: one task each, events to memory at once and to the store soon after."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from rbee.contract.errors import (
    CancelledByCallerError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RbeeError,
    UnavailableError,
)
from rbee.contract.wire import JobDetail, JobEvent, JobSummary
from rbee.jobs.live import LiveJob, LiveJobs
from rbee.jobs.narrator import Narrator
from rbee.jobs.operation import Operation
from rbee.jobs.parsing import parse
from rbee.jobs.reader import Reader
from rbee.jobs.recorder import Recorder
from rbee.jobs.recovery import MOST_RESUMED, Left, recover
from rbee.jobs.writer import End, Writer

if TYPE_CHECKING:
    from rbee.jobs.later import JobStoreLater
    from rbee.jobs.store import JobStore

log = logging.getLogger(__name__)

_MOST_KEYS = 1000
_SHOWN = 100


class JobRunner:
    """Takes jobs, runs their handlers, streams and stores their events.

    The events of a job are in memory while it runs and `linger_s` longer, so that whoever submitted a short one finds
    all of it; of the progress of one thing only the newest.  Tokens of an answer are never stored: like prompts they
    are the user's own.

    Args:
        store: opened and closed by this runner.
        operations: by name.
        observe: told every event, for plugins.
        keep: how long ended jobs are remembered.
        keep_ended: how many of them at most.
        linger_s: how long an ended job stays in memory.
    """

    def __init__(
        self,
        store: JobStore | JobStoreLater,
        operations: Mapping[str, Operation],
        observe: Callable[[JobEvent], None] = lambda _: None,
        keep: timedelta = timedelta(days=7),
        keep_ended: int = 1000,
        linger_s: float = 60.0,
    ) -> None:
        self._store = store
        self._operations = operations
        self._observe = observe
        self._live = LiveJobs(linger_s)
        self._writer = Writer(store, keep, keep_ended)
        self._reader = Reader(store, self._live, self._writer.unentered)
        self._writing: asyncio.Task[None] | None = None
        self._finishing: set[asyncio.Task[None]] = set()
        self._keys: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._keyed = asyncio.Lock()
        self._stopping = False

    async def start(self) -> None:
        """Open the store; jobs that an earlier life left unfinished go on, or end as failed with the reason."""
        await self._store.open()
        await self._writer.prune()
        left = await recover(self._store, self._operations)
        self._writing = asyncio.create_task(self._writer.run(), name="job-events")
        for one in left:
            await self._resume(one)

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

    async def submit(self, body: dict[str, Any], correlation_id: str | None = None, key: str | None = None) -> str:
        """Start a job.

        Args:
            body: ``{"operation": NAME, ...}`` as in ``POST /v1/jobs``.
            correlation_id: of the request.
            key: names this request: with the same key again, nothing is started and the first job's id is returned.

        Raises:
            InvalidRequestError: no such operation, or not such a request.
            ConflictError: the key was used for another operation.
            UnavailableError: the program is stopping.
        """
        self._refuse_when_stopping()
        name, operation = self._asked_for(body)
        if operation.request is not None:
            parse(body, operation.request)
        operation.check(body)
        if key is None:
            return await self._submit(name, operation.complete(body), correlation_id)
        async with self._keyed:
            if (known := self._keys.get(key)) is not None:
                if known[1] != name:
                    raise ConflictError(f"The key {key!r} was used for the operation {known[1]!r}; take another one.")
                with contextlib.suppress(NotFoundError):
                    await self._reader.check(known[0])
                    return known[0]
            job_id = await self._submit(name, operation.complete(body), correlation_id)
            self._keys[key] = (job_id, name)
            while len(self._keys) > _MOST_KEYS:
                self._keys.popitem(last=False)
            return job_id

    def _asked_for(self, body: Mapping[str, Any]) -> tuple[str, Operation]:
        name = body.get("operation")
        if isinstance(name, str) and name in self._operations:
            return name, self._operations[name]
        problem = "'operation' is missing."
        if isinstance(name, str):
            problem = f"There is no operation {name[:_SHOWN]!r}."
        elif name is not None:
            problem = "'operation' must be a text."
        raise InvalidRequestError(f"{problem} Operations: {', '.join(sorted(self._operations))}.", param="operation")

    async def _submit(self, operation: str, body: dict[str, Any], correlation_id: str | None) -> str:
        job_id = f"job-{uuid.uuid4()}"
        try:
            await self._writer.begin(job_id, operation, msgspec.json.encode(_without_secrets(body)), correlation_id)
        except Exception:
            # The store may have been closed just now, which is no defect then.
            self._refuse_when_stopping()
            raise
        self._refuse_when_stopping()
        live = LiveJob()
        narrator = Narrator(job_id, correlation_id, self._emitter(job_id, live))
        await self._launch(operation, body, narrator, live)
        return job_id

    async def _resume(self, left: Left) -> None:
        live = LiveJob(left.base)
        row = left.row
        emit = self._emitter(row.id, live)
        narrator = Narrator(row.id, row.correlation_id, emit, left.resumed, left.told)
        log.info("job %s (%s) goes on after a restart, for the %d. time", row.id, row.operation, left.resumed)
        human = f"The program was restarted; {row.operation} is begun again ({left.resumed} of {MOST_RESUMED} times)"
        narrator.say("jobs", "resumed", human, row.id)
        await self._launch(row.operation, left.body, narrator, live)

    async def _launch(self, operation: str, body: dict[str, Any], narrator: Narrator, live: LiveJob) -> None:
        self._live[narrator.job_id] = live
        live.task = asyncio.create_task(self._run(operation, body, narrator), name=narrator.job_id)
        # A task that is cancelled before its first step never runs, and its job would never end.
        await asyncio.sleep(0)

    def _emitter(self, job_id: str, live: LiveJob) -> Callable[[JobEvent], None]:
        return Recorder(job_id, live, self._writer, self._observe).take

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
            await self._reader.check(job_id)
            return False
        if live.ended or live.task is None:
            return False
        live.task.cancel()
        return True

    def events(self, job_id: str, after: int = 0) -> AsyncGenerator[tuple[int, JobEvent]]:
        """A job's events with their numbers, from `after` on, until the terminal one.

        Raises:
            NotFoundError: there is no such job.
        """
        return self._reader.events(job_id, after)

    async def check_store(self) -> None:
        """Raise unless the store takes what is written to it."""
        await self._store.ready()
        await self._writer.flush()
        await self._writer.prune()

    async def check(self, job_id: str) -> None:
        """Raise NotFoundError unless the job exists: before a stream's first byte, where it can still be told."""
        await self._reader.check(job_id)

    async def list(self, limit: int = 100, states: Sequence[str] = ()) -> list[JobSummary]:
        """The newest jobs, newest first; those in certain states, when some are named."""
        return await self._reader.list(limit, states)

    async def get(self, job_id: str) -> JobDetail:
        """One job: what was asked, how far it is, how it ended.

        Raises:
            NotFoundError: there is no such job.
        """
        return await self._reader.get(job_id)

    async def _run(self, operation: str, body: dict[str, Any], narrator: Narrator) -> None:
        state, code, message = "completed", None, None
        try:
            await self._writer.running(narrator.job_id)
            result = await self._operations[operation].handler(body, narrator)
            if result is not None:
                # Plain values: who watches and who reads later get the same.
                narrator.data("result", msgspec.to_builtins(result))
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


def _without_secrets(body: dict[str, Any]) -> dict[str, Any]:
    """What is stored of a request: prompts are the user's own and are not kept."""
    return {key: value for key, value in body.items() if key not in {"prompt", "messages"}}
