"""One data base: a SQLite file, memory, or a server behind any SQLAlchemy URL."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, TypeVar
from zlib import crc32

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool
from sqlmodel.ext.asyncio.session import AsyncSession

from rbee.contract.errors import ConfigurationError, RbeeError, UnavailableError
from rbee.storage.damage import is_damage, is_full, remedy
from rbee.storage.schema import Schema, bring_up_to_date, revision_of
from rbee.storage.sqlite import WRITES, make_private, prepare
from rbee.storage.urls import file_of, is_memory, is_sqlite, parsed, shown_url, without_secrets

log = logging.getLogger(__name__)

T = TypeVar("T")

_PASSING = frozenset({"57P03", "53300"})
"""What PostgreSQL answers while it starts, and while it has too many connections."""

_CONNECT_S = 15.0
_ANSWER_S = 15.0
"""For one statement: a machine that is cut off says nothing, and the system waits a quarter of an hour for it."""
_LIMITED = frozenset({"postgresql+asyncpg"})
"""Drivers that take such limits."""
# What a statement has done wrong, and no other time would do right.
_OURS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)


class DataBase:
    """Opened once, used by one store, closed.

    Args:
        url: SQLAlchemy URL; ``sqlite+aiosqlite://`` keeps everything in memory.  Without a driver, the one that rbee
            uses is taken.
        schema: the store's tables.
    """

    def __init__(self, url: str, schema: Schema) -> None:
        self._text = url
        self._schema = schema
        self._url: URL | None = None
        self._engine: AsyncEngine | None = None
        # On SQLite's one writer nothing is won by two at once, and in memory they would share one transaction.
        self._turn: asyncio.Lock | None = asyncio.Lock()
        self._underway: set[asyncio.Task[Any]] = set()
        self._away: str | None = None

    @property
    def shown(self) -> str:
        """Its address for a message, without secrets."""
        return shown_url(self._text)

    @property
    def lost(self) -> str:
        """What is gone with it, as `Schema.lost`."""
        return self._schema.lost

    @property
    def is_open(self) -> bool:
        """Between `open` and `close`."""
        return self._engine is not None

    async def open(self) -> None:
        """Connect, and make or migrate the tables.

        Raises:
            UnavailableError: its server does not answer now, or its disk is full; opening it may be tried again, and
                until then every use raises the same.
            ConfigurationError: the data base cannot be opened; the message names it, never its password.
        """
        self._url = url = parsed(self._text)
        engine: AsyncEngine | None = None
        try:
            engine = self._make_engine(url)
            async with asyncio.timeout(_CONNECT_S):
                current = await self._is_current(engine)
            if not current:
                await self._bring_up_to_date(engine, url)
        except BaseException as error:
            if engine is not None:
                await engine.dispose()
            if not isinstance(error, Exception):
                raise
            message = f"Data base '{self.shown}' cannot be opened: {self._reason(url, error)}."
            if is_full(error) if is_sqlite(url) else _may_pass(error):
                self._away = message
                raise UnavailableError(message) from error
            raise ConfigurationError(message) from error
        # Not before: nobody may find tables that are not made yet.
        self._engine, self._away = engine, None

    async def close(self) -> None:
        """Disconnect, after what is being done; harmless when not open."""
        while self._underway:
            await asyncio.wait(set(self._underway))
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do a piece of work to its end, also when the caller is cancelled; on SQLite one after the other.

        A statement that is broken off costs its connection, a data base in memory is gone with its only one, and
        nobody would know whether it had reached the disk.

        Raises:
            Exception: as the work raises.
        """
        task = asyncio.ensure_future(self._in_turn(work))
        self._underway.add(task)
        task.add_done_callback(self._underway.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._note_failure)
            raise

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that changes nothing.

        Raises:
            UnavailableError: the data base does not answer, or its disk is full.
        """
        async with self._session(writes=False) as session:
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A session in one transaction, committed at the end of the block unless it raised.

        Raises:
            UnavailableError: the data base does not answer, or its disk is full.
        """
        async with self._session(writes=True) as session:
            yield session
            await session.commit()

    @asynccontextmanager
    async def _session(self, *, writes: bool) -> AsyncIterator[AsyncSession]:
        if self._engine is None or self._url is None:
            if self._away is not None:
                raise UnavailableError(self._away)
            raise RuntimeError(f"data base '{self.shown}' was used before it was opened")
        engine = self._engine.execution_options(**{WRITES: True}) if writes else self._engine
        try:
            async with AsyncSession(engine, expire_on_commit=False) as session:
                yield session
        except (DBAPIError, PoolTimeoutError, OSError) as error:
            if isinstance(error, _OURS):
                raise
            why = self._reason(self._url, error)
            raise UnavailableError(f"Data base '{self.shown}' cannot be used now: {why}.") from error

    async def _in_turn(self, work: Callable[[], Awaitable[T]]) -> T:
        async with self._one_at_a_time():
            return await work()

    def _one_at_a_time(self) -> AbstractAsyncContextManager[Any]:
        return nullcontext() if self._turn is None else self._turn

    def _note_failure(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("data base '%s': what a cancelled caller had begun failed: %s", self.shown, error)

    def _make_engine(self, url: URL, *, patient: bool = False) -> AsyncEngine:
        if not is_sqlite(url):
            self._turn = None
            answer_s = None if patient else _ANSWER_S
            limits = {"timeout": _CONNECT_S, "command_timeout": answer_s} if url.drivername in _LIMITED else {}
            return create_async_engine(url, pool_pre_ping=True, connect_args=limits)
        path = file_of(url)
        if path is not None:
            make_private(path)
        options: dict[str, Any] = {"poolclass": StaticPool} if is_memory(url) else {}
        engine = create_async_engine(url, **options)
        prepare(engine)
        return engine

    async def _is_current(self, engine: AsyncEngine) -> bool:
        schema = self._schema
        async with engine.connect() as connection:
            return await connection.run_sync(lambda sync: revision_of(schema, sync)) == schema.head

    async def _bring_up_to_date(self, engine: AsyncEngine, url: URL) -> None:
        """Make or migrate the tables.  However long that takes: what is broken off could never succeed."""
        patient = engine if is_sqlite(url) else self._make_engine(url, patient=True)
        try:
            async with patient.execution_options(**{WRITES: True}).begin() as connection:
                if url.get_backend_name() == "postgresql":
                    # Two programs that start at once must not both make the tables.
                    key = crc32(self._schema.version_table.encode())
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
                await connection.run_sync(lambda sync: bring_up_to_date(self._schema, sync))
        finally:
            if patient is not engine:
                await patient.dispose()

    def _reason(self, url: URL, error: BaseException) -> str:
        if isinstance(error, ModuleNotFoundError):
            return f"its driver {error.name!r} is not installed; install it: pip install 'rbee[postgres]'"
        if isinstance(error, TimeoutError):
            return f"nothing came within {_CONNECT_S:.0f} s"
        if isinstance(error, RbeeError):
            return error.message.rstrip(".")
        # SQLAlchemy's own text goes on with the statement and a link to its manual.
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        words = str(cause) or type(cause).__name__
        if isinstance(cause, OSError) and cause.strerror:
            words = cause.strerror
        if not isinstance(error, SQLAlchemyError | OSError):
            words = f"{type(cause).__name__}: {words}"
        told = without_secrets(url, words).strip().rstrip(".")
        path = file_of(url) if is_sqlite(url) and is_damage(cause) else None
        return told if path is None else f"{told}. {remedy(path, self._schema.lost)}".rstrip(".")


def _may_pass(error: Exception) -> bool:
    """Whether a server could not be reached, as opposed to one that has refused us."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return isinstance(cause, OSError) or getattr(cause, "sqlstate", None) in _PASSING
