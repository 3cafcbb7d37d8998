"""The table of what was said of models."""

from __future__ import annotations

from pathlib import Path

import msgspec
from sqlmodel import Field, MetaData, SQLModel, col, delete, select

from rbee.queen.standing import Standing
from rbee.storage import Schema, Store, file_url, in_turn


class _Base(SQLModel):
    metadata = MetaData()


class StandingRow(_Base, table=True):
    """One model."""

    __tablename__ = "standing"

    model_id: str = Field(primary_key=True)
    pinned: bool
    keep_alive_s: float | None = None


_LOST = "No model is then pinned, and each is kept as `queen.keep_alive` says; models stay."

SCHEMA = Schema("standing", _Base.metadata, ("standing0001",), Path(__file__).with_name("standing_migrations"), _LOST)


class StandingStore(Store):
    """The table in a SQLite file of its own, readable by this user alone."""

    def __init__(self, path: Path) -> None:
        super().__init__(file_url(path), SCHEMA)

    @in_turn
    async def put(self, standing: Standing) -> None:
        """Enter or replace one."""
        async with self.data_base.writing() as session:
            await session.merge(StandingRow(**msgspec.structs.asdict(standing)))

    @in_turn
    async def remove(self, model_id: str) -> None:
        """Take one out; harmless when it is not there."""
        async with self.data_base.writing() as session:
            await session.exec(delete(StandingRow).where(col(StandingRow.model_id) == model_id))

    @in_turn
    async def list(self) -> list[Standing]:
        """All, by canonical name."""
        async with self.data_base.reading() as session:
            rows = (await session.exec(select(StandingRow).order_by(col(StandingRow.model_id)))).all()
            return [Standing(**{field: getattr(row, field) for field in Standing.__struct_fields__}) for row in rows]
