"""What outlives a restart: jobs and their events, over any SQLAlchemy URL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import literal, or_
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, MetaData, SQLModel, col, delete, func, select, update

from rbee.storage import Schema, Store, UtcDateTime, file_url, in_turn

UNFINISHED = ("queued", "running")
_LOST = "`rbee job ls` is then empty, and jobs that ran are not begun again; models, workers and hives are untouched."


class _Base(SQLModel):
    """Tables of this store alone, so that another store's tables are not made here."""

    metadata = MetaData()


class JobRow(_Base, table=True):
    """One job."""

    __tablename__ = "jobs"

    id: str = Field(primary_key=True)
    operation: str = Field(index=True)
    request: str
    state: str = Field(index=True)
    correlation_id: str | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    error_code: str | None = None
    error_message: str | None = None
    resumed: int = Field(default=0, sa_column_kwargs={"server_default": "0"})


def queued(job_id: str, operation: str, request: bytes, correlation_id: str | None) -> JobRow:
    """A job that has just been asked for."""
    return JobRow(
        id=job_id,
        operation=operation,
        request=request.decode(),
        state="queued",
        correlation_id=correlation_id,
        created_at=datetime.now(UTC),
    )


class JobEventRow(_Base, table=True):
    """One event; `seq` counts from 1 within its job."""

    __tablename__ = "job_events"

    job_id: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    body: bytes


SCHEMA = Schema("jobs", _Base.metadata, ("jobs0001", "jobs0002"), Path(__file__).with_name("migrations"), _LOST)


class JobStore(Store):
    """Jobs in a data base.

    Args:
        url: SQLAlchemy URL; ``sqlite+aiosqlite://`` keeps everything in memory.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url, SCHEMA)

    @classmethod
    def at(cls, path: Path) -> JobStore:
        """A store in a SQLite file, readable by this user alone."""
        return cls(file_url(path))

    async def ready(self) -> None:
        """Nothing to do: it is open.  See `JobStoreLater`."""

    async def add(self, job_id: str, operation: str, request: bytes, correlation_id: str | None) -> None:
        """Enter a queued job."""
        await self.enter(queued(job_id, operation, request, correlation_id))

    @in_turn
    async def enter(self, row: JobRow) -> None:
        """Enter a job as it is, in place of what was entered of it before."""
        async with self.data_base.writing() as session:
            await session.merge(row)

    @in_turn
    async def set_state(self, job_id: str, state: str, *, code: str | None = None, message: str | None = None) -> None:
        """Note a job's state, and why when it failed."""
        values: dict[str, Any] = {"state": state, "error_code": code, "error_message": message}
        if state not in UNFINISHED:
            values["finished_at"] = datetime.now(UTC)
        elif state == "running":
            # One that is begun again keeps its first beginning.
            values["started_at"] = func.coalesce(col(JobRow.started_at), literal(datetime.now(UTC), UtcDateTime()))
        async with self.data_base.writing() as session:
            await session.exec(update(JobRow).where(col(JobRow.id) == job_id).values(**values))

    @in_turn
    async def append(self, rows: Sequence[tuple[str, int, bytes]]) -> None:
        """Store events as (job id, seq, encoded event); those that are there already are stored again."""
        try:
            async with self.data_base.writing() as session:
                session.add_all([JobEventRow(job_id=job_id, seq=seq, body=body) for job_id, seq, body in rows])
        except IntegrityError:
            # An earlier write reached the disk although its answer did not reach the caller.
            async with self.data_base.writing() as session:
                for job_id, seq, body in rows:
                    await session.merge(JobEventRow(job_id=job_id, seq=seq, body=body))

    @in_turn
    async def get(self, job_id: str) -> JobRow | None:
        """The job, None when there is none."""
        async with self.data_base.reading() as session:
            return await session.get(JobRow, job_id)

    @in_turn
    async def note_resumed(self, job_id: str) -> None:
        """Count that a job is begun again."""
        async with self.data_base.writing() as session:
            again = update(JobRow).where(col(JobRow.id) == job_id).values(resumed=col(JobRow.resumed) + 1)
            await session.exec(again)

    @in_turn
    async def newest(self, limit: int = 100, states: Sequence[str] = ()) -> list[JobRow]:
        """The newest jobs, newest first; those in certain states, when some are named."""
        async with self.data_base.reading() as session:
            query = select(JobRow).order_by(col(JobRow.created_at).desc()).limit(limit)
            if states:
                query = query.where(col(JobRow.state).in_(states))
            return list((await session.exec(query)).all())

    @in_turn
    async def events(self, job_id: str, after: int, limit: int = 500) -> list[tuple[int, bytes]]:
        """Events of a job with a seq above `after`, in order."""
        async with self.data_base.reading() as session:
            query = (
                select(JobEventRow)
                .where(col(JobEventRow.job_id) == job_id, col(JobEventRow.seq) > after)
                .order_by(col(JobEventRow.seq))
                .limit(limit)
            )
            return [(row.seq, row.body) for row in (await session.exec(query)).all()]

    @in_turn
    async def last_events(self, job_id: str, limit: int = 200) -> list[tuple[int, bytes]]:
        """The last events of a job, in order."""
        async with self.data_base.reading() as session:
            query = (
                select(JobEventRow)
                .where(col(JobEventRow.job_id) == job_id)
                .order_by(col(JobEventRow.seq).desc())
                .limit(limit)
            )
            return [(row.seq, row.body) for row in reversed((await session.exec(query)).all())]

    @in_turn
    async def last_seq(self, job_id: str) -> int:
        """The highest seq stored for a job, 0 when none."""
        async with self.data_base.reading() as session:
            query = select(func.max(JobEventRow.seq)).where(col(JobEventRow.job_id) == job_id)
            return (await session.exec(query)).one() or 0

    @in_turn
    async def unfinished(self) -> list[JobRow]:
        """Jobs that an earlier life of the program left behind."""
        async with self.data_base.reading() as session:
            return list((await session.exec(select(JobRow).where(col(JobRow.state).in_(UNFINISHED)))).all())

    @in_turn
    async def prune(self, older_than: datetime, keep: int | None = None) -> None:
        """Forget jobs that ended before a moment, and all but the `keep` that ended last, with their events."""
        ended = col(JobRow.finished_at)
        async with self.data_base.writing() as session:
            doomed = ended < older_than
            if keep is not None:
                newest = select(JobRow.finished_at).where(ended.is_not(None)).order_by(ended.desc())
                first_too_many = (await session.exec(newest.offset(keep).limit(1))).first()
                if first_too_many is not None:
                    doomed = or_(doomed, ended <= first_too_many)
            old = select(JobRow.id).where(ended.is_not(None), doomed)
            await session.exec(delete(JobEventRow).where(col(JobEventRow.job_id).in_(old)))
            await session.exec(delete(JobRow).where(col(JobRow.id).in_(old)))
