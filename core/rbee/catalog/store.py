"""The catalogue's table."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import Field, MetaData, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from rbee.contract.errors import ConfigurationError
from rbee.contract.types import ModelVariant

P = ParamSpec("P")
T = TypeVar("T")


def _in_turn(
    method: Callable[Concatenate[CatalogStore, P], Awaitable[T]],
) -> Callable[Concatenate[CatalogStore, P], Coroutine[Any, Any, T]]:
    """One statement after the other, each to its end, also when its caller is cancelled: broken off, it would cost
    its connection, and nobody would know whether it had reached the disk.
    """

    @functools.wraps(method)
    async def run(self: CatalogStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async def turn() -> T:
            async with self._turn:
                return await method(self, *args, **kwargs)

        return await asyncio.shield(asyncio.ensure_future(turn()))

    return run


class CatalogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is on this machine.

    Attributes:
        variant: what it is.
        path: what an engine is pointed at; None for a model without files.
        added_at: when it became available.
    """

    variant: ModelVariant
    path: str | None
    added_at: datetime


class _Base(SQLModel):
    metadata = MetaData()


class ModelRow(_Base, table=True):
    """One model that is available."""

    __tablename__ = "models"

    model_id: str = Field(primary_key=True)
    name: str = Field(index=True)
    vendor: str
    format: str
    path: str | None = None
    variant: bytes
    added_at: datetime


class CatalogStore:
    """The table in a SQLite file of its own, readable by this user alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine: AsyncEngine | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Connect and make what is missing.

        Raises:
            ConfigurationError: the file cannot be opened.
        """
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._engine = create_async_engine(f"sqlite+aiosqlite:///{self._path}")
            event.listen(self._engine.sync_engine, "connect", _prepare)
            async with self._engine.begin() as connection:
                await connection.run_sync(_Base.metadata.create_all)
        except Exception as error:
            await self.close()
            raise ConfigurationError(f"Data base '{self._path}' cannot be opened: {error}") from error

    async def close(self) -> None:
        """Disconnect, after what is being done; harmless when not open."""
        async with self._turn:
            if self._engine is not None:
                await self._engine.dispose()
                self._engine = None

    @_in_turn
    async def put(self, entry: CatalogEntry) -> None:
        """Enter or replace a model."""
        row = ModelRow(
            model_id=entry.variant.model_id,
            name=entry.variant.name,
            vendor=entry.variant.vendor,
            format=entry.variant.format,
            path=entry.path,
            variant=msgspec.json.encode(entry.variant),
            added_at=entry.added_at,
        )
        async with self._session() as session:
            await session.merge(row)
            await session.commit()

    @_in_turn
    async def get(self, model_id: str) -> CatalogEntry | None:
        """The model of that canonical name."""
        async with self._session() as session:
            row = await session.get(ModelRow, model_id)
            return None if row is None else _entry(row)

    @_in_turn
    async def remove(self, model_id: str) -> bool:
        """Take a model out; False when it was not there."""
        async with self._session() as session:
            row = await session.get(ModelRow, model_id)
            if row is None:
                return False
            await session.delete(row)
            await session.commit()
            return True

    @_in_turn
    async def list(self) -> list[CatalogEntry]:
        """All models, by name."""
        async with self._session() as session:
            return [_entry(row) for row in (await session.exec(select(ModelRow).order_by(col(ModelRow.name)))).all()]

    def _session(self) -> AsyncSession:
        if self._engine is None:
            raise RuntimeError("the catalogue was used before it was opened")
        return AsyncSession(self._engine, expire_on_commit=False)


def _entry(row: ModelRow) -> CatalogEntry:
    return CatalogEntry(
        variant=msgspec.json.decode(row.variant, type=ModelVariant),
        path=row.path,
        added_at=row.added_at.replace(tzinfo=UTC),
    )


def _prepare(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.close()
