"""The catalogue's table."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec
from sqlmodel import Field, MetaData, SQLModel, col, select

from rbee.contract.figures import ModelFigures
from rbee.contract.types import ModelVariant
from rbee.storage import Schema, Store, UtcDateTime, file_url, in_turn


class ModelState(StrEnum):
    """Where a model stands in the catalogue."""

    AVAILABLE = "available"
    DOWNLOADING = "downloading"
    FAILED = "failed"


class CatalogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is on this machine, or is to be.

    Attributes:
        variant: what it is.
        path: what an engine is pointed at; None for a model without files, and for one that is not here yet.
        added_at: when it became available, or was first asked for.
        state: whether it can be used.
        error: why the last fetch failed; an available model may have one, when it could not be renewed.
        figures: what its files tell of it; None until they were looked into.
    """

    variant: ModelVariant
    path: str | None
    added_at: datetime
    state: ModelState = ModelState.AVAILABLE
    error: str | None = None
    figures: ModelFigures | None = None


class _Base(SQLModel):
    metadata = MetaData()


class ModelRow(_Base, table=True):
    """One model."""

    __tablename__ = "models"

    model_id: str = Field(primary_key=True)
    name: str = Field(index=True)
    vendor: str
    format: str
    path: str | None = None
    variant: bytes
    added_at: datetime = Field(sa_type=UtcDateTime)
    state: str = Field(default=ModelState.AVAILABLE, sa_column_kwargs={"server_default": "available"})
    error: str | None = None
    figures: bytes | None = None


_LOST = "The list of models is then empty; models on the disk stay, and are entered again at the next start."

SCHEMA = Schema(
    "catalog", _Base.metadata, ("catalog0001", "catalog0002"), Path(__file__).with_name("migrations"), _LOST
)

_ENDED = "rbee ended while it was fetched"


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
            state=entry.state,
            error=entry.error,
            figures=None if entry.figures is None else msgspec.json.encode(entry.figures),
        )
        async with self.data_base.writing() as session:
            await session.merge(row)

    @in_turn
    async def begin(self, variant: ModelVariant) -> None:
        """A fetch begins; a model that is here stays available meanwhile."""
        async with self.data_base.writing() as session:
            row = await session.get(ModelRow, variant.model_id)
            if row is None or row.state != ModelState.AVAILABLE:
                await session.merge(_unfinished(variant, ModelState.DOWNLOADING, None))

    @in_turn
    async def fail(self, variant: ModelVariant, why: str) -> None:
        """A fetch has failed; a model that is here stays available."""
        async with self.data_base.writing() as session:
            row = await session.get(ModelRow, variant.model_id)
            if row is not None and row.state == ModelState.AVAILABLE:
                row.error = why
                session.add(row)
            else:
                await session.merge(_unfinished(variant, ModelState.FAILED, why))

    @in_turn
    async def spoil(self, model_id: str, why: str) -> None:
        """A model that was available is not whole any more."""
        async with self.data_base.writing() as session:
            row = await session.get(ModelRow, model_id)
            if row is not None:
                row.state, row.error, row.path = ModelState.FAILED, why, None
                session.add(row)

    @in_turn
    async def end_interrupted(self) -> None:
        """What was being fetched when the program ended is not being fetched any more."""
        async with self.data_base.writing() as session:
            found = await session.exec(select(ModelRow).where(col(ModelRow.state) == ModelState.DOWNLOADING))
            for row in found.all():
                row.state, row.error = ModelState.FAILED, _ENDED
                session.add(row)

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
        """All models in any state, by name."""
        async with self.data_base.reading() as session:
            return [_entry(row) for row in (await session.exec(select(ModelRow).order_by(col(ModelRow.name)))).all()]


def _unfinished(variant: ModelVariant, state: ModelState, error: str | None) -> ModelRow:
    return ModelRow(
        model_id=variant.model_id,
        name=variant.name,
        vendor=variant.vendor,
        format=variant.format,
        variant=msgspec.json.encode(variant),
        added_at=datetime.now(UTC),
        state=state,
        error=error,
    )


def _entry(row: ModelRow) -> CatalogEntry:
    return CatalogEntry(
        variant=msgspec.json.decode(row.variant, type=ModelVariant),
        path=row.path,
        added_at=row.added_at,
        state=ModelState(row.state),
        error=row.error,
        figures=None if row.figures is None else msgspec.json.decode(row.figures, type=ModelFigures),
    )
