"""The table of what workers needed of memory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy import BigInteger
from sqlmodel import Field, MetaData, SQLModel, col, delete, select

from rbee.contract.wire import LearnedMemory
from rbee.storage import Schema, Store, UtcDateTime, file_url, in_turn


class _Base(SQLModel):
    metadata = MetaData()


class LearnedRow(_Base, table=True):
    """What was learned of one model, engine, backend and machine."""

    __tablename__ = "learned"

    model_id: str = Field(primary_key=True)
    engine: str = Field(primary_key=True)
    backend: str = Field(primary_key=True)
    hive_id: str = Field(primary_key=True)
    reserve_bytes: int = Field(sa_type=BigInteger)
    basis_bytes: int = Field(sa_type=BigInteger)
    peak_bytes: int = Field(sa_type=BigInteger)
    estimate_bytes: int | None = Field(default=None, sa_type=BigInteger)
    context_length: int | None = None
    slots: int | None = None
    observed_at: datetime = Field(sa_type=UtcDateTime)
    engine_version: str | None = None


_LOST = "Memory is then estimated by figures alone until workers have been seen again; models and workers stay."

SCHEMA = Schema(
    "memory", _Base.metadata, ("memory0001", "memory0002"), Path(__file__).with_name("ledger_migrations"), _LOST
)


class LedgerStore(Store):
    """The table in a SQLite file of its own, readable by this user alone."""

    def __init__(self, path: Path) -> None:
        super().__init__(file_url(path), SCHEMA)

    @in_turn
    async def put(self, learned: Iterable[LearnedMemory], gone: Iterable[tuple[str, str, str, str]] = ()) -> None:
        """Enter or replace what was learned, and take out what was forgotten, all or nothing.

        Args:
            learned: to enter.
            gone: model, engine, backend and machine of what is to go.
        """
        async with self.data_base.writing() as session:
            for one in learned:
                await session.merge(LearnedRow(**msgspec.structs.asdict(one)))
            for model_id, engine, backend, hive_id in gone:
                await session.exec(
                    delete(LearnedRow).where(
                        col(LearnedRow.model_id) == model_id,
                        col(LearnedRow.engine) == engine,
                        col(LearnedRow.backend) == backend,
                        col(LearnedRow.hive_id) == hive_id,
                    )
                )

    @in_turn
    async def list(self) -> list[LearnedMemory]:
        """All, the longest not seen first."""
        async with self.data_base.reading() as session:
            rows = (await session.exec(select(LearnedRow).order_by(col(LearnedRow.observed_at)))).all()
            return [
                LearnedMemory(**{field: getattr(row, field) for field in LearnedMemory.__struct_fields__})
                for row in rows
            ]
