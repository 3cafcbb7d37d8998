"""The table of what each kind of worker has done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from sqlmodel import Field, MetaData, SQLModel, col, delete, select

from rbee.contract.wire import utc_now
from rbee.queen.rates import Average, Kind, Speed
from rbee.storage import Schema, Store, UtcDateTime, file_url, in_turn

_PROMPT = 0
"""In place of the number of answers, for the speed of a prompt."""


class _Base(SQLModel):
    metadata = MetaData()


class SpeedRow(_Base, table=True):
    """One speed of a kind: of a prompt, or of one of so many answers at the same time."""

    __tablename__ = "speeds"

    model_id: str = Field(primary_key=True)
    engine: str = Field(primary_key=True)
    hive_id: str = Field(primary_key=True)
    device: str = Field(primary_key=True)
    slots: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    streams: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    tok_s: float
    measurements: int
    updated_at: datetime = Field(sa_type=UtcDateTime)


_LOST = "Workers count as unmeasured until they have answered some requests or `rbee bench` has run."

SCHEMA = Schema("speeds", _Base.metadata, ("speeds0001",), Path(__file__).with_name("speed_migrations"), _LOST)


class SpeedStore(Store):
    """The table in a SQLite file of its own, readable by this user alone."""

    def __init__(self, path: Path) -> None:
        super().__init__(file_url(path), SCHEMA)

    @in_turn
    async def replace(self, speeds: Mapping[Kind, Speed], gone: Iterable[Kind] = ()) -> None:
        """Enter what some kinds do now, in place of what stood there, and take others out."""
        now = utc_now()
        async with self.data_base.writing() as session:
            for kind in (*speeds, *gone):
                matching = [col(getattr(SpeedRow, name)) == value for name, value in kind._asdict().items()]
                await session.exec(delete(SpeedRow).where(*matching))
            for kind, speed in speeds.items():
                for streams, average in _parts(speed):
                    row = SpeedRow(
                        **kind._asdict(),
                        streams=streams,
                        tok_s=average.tok_s,
                        measurements=average.measurements,
                        updated_at=now,
                    )
                    session.add(row)

    @in_turn
    async def all(self) -> dict[Kind, Speed]:
        """Every kind, the one changed longest ago first."""
        async with self.data_base.reading() as session:
            rows = (await session.exec(select(SpeedRow).order_by(col(SpeedRow.updated_at)))).all()
        found: dict[Kind, Speed] = {}
        for row in rows:
            kind = Kind(row.model_id, row.engine, row.hive_id, row.device, row.slots)
            speed = found.setdefault(kind, Speed(kind))
            average = Average(row.tok_s, row.measurements)
            if row.streams == _PROMPT:
                speed.prefill = average
            elif (group := (row.streams - 1).bit_length()) < len(speed.decode):
                speed.decode[group] = average
        return found


def _parts(speed: Speed) -> list[tuple[int, Average]]:
    parts = [] if speed.prefill is None else [(_PROMPT, speed.prefill)]
    return parts + [(1 << group, average) for group, average in enumerate(speed.decode) if average is not None]
