"""The catalogue's table."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec
from sqlmodel import Field, MetaData, SQLModel, col, select

from rbee.contract.types import ModelVariant
from rbee.storage import Schema, Store, UtcDateTime, file_url, in_turn


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
    added_at: datetime = Field(sa_type=UtcDateTime)


_LOST = "The list of models is then empty; models on the disk stay, and are entered again when they are asked for."

SCHEMA = Schema("catalog", _Base.metadata, ("catalog0001",), Path(__file__).with_name("migrations"), _LOST)


class CatalogStore(Store):
    """The table in a SQLite file of its own, readable by this user alone."""

    def __init__(self, path: Path) -> None:
        super().__init__(file_url(path), SCHEMA)

    @in_turn
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
        async with self.data_base.writing() as session:
            await session.merge(row)

    @in_turn
    async def get(self, model_id: str) -> CatalogEntry | None:
        """The model of that canonical name."""
        async with self.data_base.reading() as session:
            row = await session.get(ModelRow, model_id)
            return None if row is None else _entry(row)

    @in_turn
    async def remove(self, model_id: str) -> bool:
        """Take a model out; False when it was not there."""
        async with self.data_base.writing() as session:
            row = await session.get(ModelRow, model_id)
            if row is None:
                return False
            await session.delete(row)
            return True

    @in_turn
    async def list(self) -> list[CatalogEntry]:
        """All models, by name."""
        async with self.data_base.reading() as session:
            return [_entry(row) for row in (await session.exec(select(ModelRow).order_by(col(ModelRow.name)))).all()]


def _entry(row: ModelRow) -> CatalogEntry:
    return CatalogEntry(
        variant=msgspec.json.decode(row.variant, type=ModelVariant),
        path=row.path,
        added_at=row.added_at,
    )
