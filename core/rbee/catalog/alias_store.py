"""The table of short names."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec
from sqlmodel import Field, MetaData, SQLModel, col, delete, select

from rbee.contract.wire import Alias
from rbee.storage import Schema, Store, UtcDateTime, file_url, in_turn


class _Base(SQLModel):
    metadata = MetaData()


class AliasRow(_Base, table=True):
    """One short name."""

    __tablename__ = "aliases"

    name: str = Field(primary_key=True)
    model: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


_LOST = "`rbee model alias` is then empty: set the short names again; models stay."

SCHEMA = Schema("aliases", _Base.metadata, ("aliases0001",), Path(__file__).with_name("alias_migrations"), _LOST)


class AliasStore(Store):
    """The table in a SQLite file of its own, readable by this user alone."""

    def __init__(self, path: Path) -> None:
        super().__init__(file_url(path), SCHEMA)

    @in_turn
    async def put(self, alias: Alias) -> None:
        """Enter or replace one."""
        async with self.data_base.writing() as session:
            await session.merge(AliasRow(**msgspec.structs.asdict(alias)))

    @in_turn
    async def remove(self, name: str) -> None:
        """Take one out; harmless when it is not there."""
        async with self.data_base.writing() as session:
            await session.exec(delete(AliasRow).where(col(AliasRow.name) == name))

    @in_turn
    async def list(self) -> list[Alias]:
        """All, by name."""
        async with self.data_base.reading() as session:
            rows = (await session.exec(select(AliasRow).order_by(col(AliasRow.name)))).all()
            return [Alias(**{field: getattr(row, field) for field in Alias.__struct_fields__}) for row in rows]
