"""What is told of a job to those who ask: its events, from the store and from memory, and how it is."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import msgspec

from rbee.contract.errors import NotFoundError
from rbee.contract.wire import JobDetail, JobEvent, JobSummary
from rbee.jobs.live import LiveJob
from rbee.jobs.recovery import STATES
from rbee.jobs.summary import detail, summary

if TYPE_CHECKING:
    from rbee.jobs.later import JobStoreLater
    from rbee.jobs.store import JobRow, JobStore

log = logging.getLogger(__name__)

JobT = TypeVar("JobT", bound=JobSummary)

_ENDS = MappingProxyType({state: kind for kind, state in STATES.items()})


class Reader:
    """Reads jobs; writes nothing.

    What another version has stored and this one cannot read is left out: the rest of the job is told.

    Args:
        store: what outlives the program.
        live: jobs in memory, by id.
        unentered: jobs that the store has not taken, by id.
    """

    def __init__(
        self, store: JobStore | JobStoreLater, live: Mapping[str, LiveJob], unentered: Mapping[str, JobRow]
    ) -> None:
        self._store = store
        self._live = live
        self._unentered = unentered

    async def check(self, job_id: str) -> None:
        """Raise NotFoundError unless the job exists."""
        if job_id not in self._live:
            await self._row(job_id)

    async def events(self, job_id: str, after: int = 0) -> AsyncGenerator[tuple[int, JobEvent]]:
        """See `JobRunner.events`."""
        live = self._live.get(job_id)
        row = None
        if live is None:
            row = await self._row(job_id)
            after = await self._before_unseen_end(job_id, after)
        last: tuple[int, JobEvent] | None = None
        if live is None or after < live.base:
            # What came before a restart is in the store alone.
            async with contextlib.aclosing(self._stored(job_id, after, None if live is None else live.base)) as stored:
                async for last in stored:
                    yield last
        if live is None:
            if row is not None and last is not None and not last[1].terminal and row.finished_at is not None:
                # Its own words on its end cannot be read; the state can.
                yield last[0] + 1, _end_of(row)
            return
        after = max(after, live.base)
        while True:
            changed = live.changed
            while (one := live.following(after)) is not None:
                after = one[0]
                yield one
            if live.ended:
                return
            await changed.wait()

    async def list(self, limit: int = 100, states: Sequence[str] = ()) -> list[JobSummary]:
        """The newest jobs, newest first; those in certain states, when some are named."""
        rows = {row.id: row for row in await self._store.newest(limit, states)}
        if self._unentered:
            rows |= {row.id: row for row in self._unentered.values() if not states or row.state in states}
        newest = sorted(rows.values(), key=lambda row: row.created_at, reverse=True)
        return [self._ended(summary(row)) for row in newest[:limit]]

    async def get(self, job_id: str) -> JobDetail:
        """One job; raises NotFoundError."""
        live = self._live.get(job_id)
        row = await self._row(job_id)
        stored: list[JobEvent] = []
        if live is None or live.base:
            stored = [event for _, event in _readable(job_id, await self._store.last_events(job_id))]
        return self._ended(detail(row, stored + (live.events if live is not None else [])))

    async def _row(self, job_id: str) -> JobRow:
        row = self._unentered.get(job_id) or await self._store.get(job_id)
        if row is None:
            raise NotFoundError(f"There is no job {job_id!r}.")
        return row

    async def _stored(self, job_id: str, after: int, last: int | None) -> AsyncGenerator[tuple[int, JobEvent]]:
        while rows := await self._store.events(job_id, after):
            for seq, event in _readable(job_id, rows):
                if last is not None and seq > last:
                    return
                yield seq, event
            after = rows[-1][0]

    async def _before_unseen_end(self, job_id: str, after: int) -> int:
        """`after`, or what is before the end where a watcher's number is a token's of an earlier life.

        A job that was cut off is ended with the first number that is free in the store, which knows no tokens; they
        may have had higher ones.
        """
        last = await self._store.last_seq(job_id)
        if after < last:
            return after
        rows = await self._store.events(job_id, last - 1)
        return last - 1 if any(event.code == "UNAVAILABLE" for _, event in _readable(job_id, rows)) else after

    def _ended(self, job: JobT) -> JobT:
        """A job whose end has been told and is only being written down is shown as ended."""
        live = self._live.get(job.job_id)
        end = None if live is None else live.end
        if end is None or job.finished_at is not None:
            return job
        return msgspec.structs.replace(
            job,
            state=STATES[end.type],
            finished_at=datetime.fromtimestamp(end.emitted_at_ms / 1000, UTC),
            error_code=end.code,
            error_message=end.message if end.type == "error" else None,
        )


def _readable(job_id: str, rows: Iterable[tuple[int, bytes]]) -> Iterable[tuple[int, JobEvent]]:
    for seq, body in rows:
        try:
            yield seq, msgspec.json.decode(body, type=JobEvent)
        except msgspec.DecodeError as error:
            log.debug("event %d of job %s cannot be read: %s", seq, job_id, error)


def _end_of(row: JobRow) -> JobEvent:
    """The terminal event of a job that has ended, from what is stored of the job itself."""
    finished = row.finished_at or row.created_at
    return JobEvent(
        type=_ENDS.get(row.state, "error"),  # type: ignore[arg-type]  # the three terminal types
        job_id=row.id,
        correlation_id=row.correlation_id,
        emitted_at_ms=int(finished.timestamp() * 1000),
        code=row.error_code,
        message=row.error_message,
    )
