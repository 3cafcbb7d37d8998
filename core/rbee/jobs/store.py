"""What outlives a restart: jobs and their events, over any SQLAlchemy URL."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import event, or_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool
from sqlmodel import Field, MetaData, SQLModel, col, delete, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from rbee.contract.errors import ConfigurationError

UNFINISHED = ("queued", "running")

P = ParamSpec("P")
T = TypeVar("T")


def _in_turn(
    method: Callable[Concatenate[JobStore, P], Awaitable[T]],
) -> Callable[Concatenate[JobStore, P], Coroutine[Any, Any, T]]:
    """One piece of work after the other, each to its end, also when its caller is cancelled.

    A statement that is broken off costs its connection, and a data base in memory is gone with its only one; two
    sessions on that one connection would end each other's transactions.
    """

    @functools.wraps(method)
    async def run(self: JobStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async def turn() -> T:
            async with self._turn:
                return await method(self, *args, **kwargs)

        return await asyncio.shield(asyncio.ensure_future(turn()))

    return run


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
    created_at: datetime
    finished_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None


class JobEventRow(_Base, table=True):
    """One event; `seq` counts from 1 within its job."""

    __tablename__ = "job_events"

    job_id: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    body: bytes


class JobStore:
    """Jobs in a data base.

    Args:
        url: SQLAlchemy URL of an async driver; ``sqlite+aiosqlite://`` keeps everything in memory.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: AsyncEngine | None = None
        self._turn = asyncio.Lock()

    @classmethod
    def at(cls, path: Path) -> JobStore:
        """A store in a SQLite file, readable by this user alone."""
        return cls(f"sqlite+aiosqlite:///{path}")

    async def open(self) -> None:
        """Connect and make what is missing.

        Raises:
            ConfigurationError: the data base cannot be opened; the message names it.
        """
        memory = self._url.endswith("://")
        path = None if memory or not self._url.startswith("sqlite") else Path(self._url.partition(":///")[2])
        try:
            if path is not None:
                # Made here with its mode: SQLite would make it readable by all.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            options: dict[str, Any] = {"poolclass": StaticPool} if memory else {}
            self._engine = create_async_engine(self._url, **options)
            if self._url.startswith("sqlite"):
                event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            async with self._engine.begin() as connection:
                await connection.run_sync(_Base.metadata.create_all)
        except Exception as error:
            await self.close()
            raise ConfigurationError(f"Data base '{path or self._url}' cannot be opened: {error}") from error

    async def close(self) -> None:
        """Disconnect, after what is being done; harmless when not open."""
        async with self._turn:
            if self._engine is not None:
                await self._engine.dispose()
                self._engine = None

    @_in_turn
    async def add(self, job_id: str, operation: str, request: bytes, correlation_id: str | None) -> None:
        """Enter a queued job."""
        async with self._session() as session:
            session.add(
                JobRow(
                    id=job_id,
                    operation=operation,
                    request=request.decode(),
                    state="queued",
                    correlation_id=correlation_id,
                    created_at=datetime.now(UTC),
                )
            )
            await session.commit()

    @_in_turn
    async def set_state(self, job_id: str, state: str, *, code: str | None = None, message: str | None = None) -> None:
        """Note a job's state, and why when it failed."""
        values: dict[str, Any] = {"state": state, "error_code": code, "error_message": message}
        if state not in UNFINISHED:
            values["finished_at"] = datetime.now(UTC)
        async with self._session() as session:
            await session.exec(update(JobRow).where(col(JobRow.id) == job_id).values(**values))
            await session.commit()

    @_in_turn
    async def append(self, rows: Sequence[tuple[str, int, bytes]]) -> None:
        """Store events as (job id, seq, encoded event); those that are there already are stored again."""
        async with self._session() as session:
            session.add_all([JobEventRow(job_id=job_id, seq=seq, body=body) for job_id, seq, body in rows])
            try:
                await session.commit()
                return
            except IntegrityError:
                # An earlier write reached the disk although its answer did not reach the caller.
                await session.rollback()
            for job_id, seq, body in rows:
                await session.merge(JobEventRow(job_id=job_id, seq=seq, body=body))
            await session.commit()

    @_in_turn
    async def get(self, job_id: str) -> JobRow | None:
        """The job, None when there is none."""
        async with self._session() as session:
            return await session.get(JobRow, job_id)

    @_in_turn
    async def newest(self, limit: int = 100) -> list[JobRow]:
        """The newest jobs, newest first."""
        async with self._session() as session:
            query = select(JobRow).order_by(col(JobRow.created_at).desc()).limit(limit)
            return list((await session.exec(query)).all())

    @_in_turn
    async def events(self, job_id: str, after: int, limit: int = 500) -> list[tuple[int, bytes]]:
        """Events of a job with a seq above `after`, in order."""
        async with self._session() as session:
            query = (
                select(JobEventRow)
                .where(col(JobEventRow.job_id) == job_id, col(JobEventRow.seq) > after)
                .order_by(col(JobEventRow.seq))
                .limit(limit)
            )
            return [(row.seq, row.body) for row in (await session.exec(query)).all()]

    @_in_turn
    async def last_seq(self, job_id: str) -> int:
        """The highest seq stored for a job, 0 when none."""
        async with self._session() as session:
            query = select(func.max(JobEventRow.seq)).where(col(JobEventRow.job_id) == job_id)
            return (await session.exec(query)).one() or 0

    @_in_turn
    async def unfinished(self) -> list[JobRow]:
        """Jobs that an earlier life of the program left behind."""
        async with self._session() as session:
            return list((await session.exec(select(JobRow).where(col(JobRow.state).in_(UNFINISHED)))).all())

    @_in_turn
    async def prune(self, older_than: datetime, keep: int | None = None) -> None:
        """Forget jobs that ended before a moment, and all but the `keep` that ended last, with their events."""
        ended = col(JobRow.finished_at)
        async with self._session() as session:
            doomed = ended < older_than
            if keep is not None:
                newest = select(JobRow.finished_at).where(ended.is_not(None)).order_by(ended.desc())
                first_too_many = (await session.exec(newest.offset(keep).limit(1))).first()
                if first_too_many is not None:
                    doomed = or_(doomed, ended <= first_too_many)
            old = select(JobRow.id).where(ended.is_not(None), doomed)
            await session.exec(delete(JobEventRow).where(col(JobEventRow.job_id).in_(old)))
            await session.exec(delete(JobRow).where(col(JobRow.id).in_(old)))
            await session.commit()

    def _session(self) -> AsyncSession:
        if self._engine is None:
            raise RuntimeError("the job store was used before it was opened")
        return AsyncSession(self._engine, expire_on_commit=False)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.close()
