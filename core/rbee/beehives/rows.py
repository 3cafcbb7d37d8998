"""The registry's table; nothing outside this package sees its rows."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlmodel import Field, MetaData, SQLModel

from rbee.beehives.beehive import Beehive
from rbee.storage import Schema, UtcDateTime


class _Base(SQLModel):
    """The table of this store alone, so that no other store's tables are made with it."""

    metadata = MetaData()


class BeehiveRow(_Base, table=True):
    """One beehive; lists and labels are JSON."""

    __tablename__ = "beehives"

    node_name: str = Field(primary_key=True)
    ssh_host: str | None = None
    ssh_port: int | None = None
    ssh_user: str | None = None
    ssh_key_path: str | None = None
    ssh_alias: str | None = None
    ssh_jump: str | None = None
    git_repo_url: str | None = None
    git_branch: str | None = None
    install_path: str | None = None
    hive_port: int | None = None
    labels: str
    enabled: bool
    host_key_fingerprint: str | None = None
    # Seconds in 32 bits end in 2038.
    last_connected_unix: int | None = Field(default=None, sa_type=sa.BigInteger)
    status: str
    backends: str | None = None
    devices: str | None = None
    reach: str | None = None
    reach_wanted: str | None = None
    tunnel_port: int | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


_LOST = "`rbee hive ls` is then empty: enter the hives again (`rbee hive add`, `rbee hive import`)."

SCHEMA = Schema(
    "beehives",
    _Base.metadata,
    ("beehives0001", "beehives0002", "beehives0003"),
    Path(__file__).with_name("migrations"),
    _LOST,
)

_AS_JSON = ("labels", "backends", "devices")


def columns(values: dict[str, Any]) -> dict[str, Any]:
    """Fields of a `Beehive` as the table keeps them."""
    kept = dict(values)
    for name in _AS_JSON:
        if kept.get(name) is not None:
            kept[name] = msgspec.json.encode(kept[name], order="deterministic").decode()
    return kept


def row_of(beehive: Beehive) -> BeehiveRow:
    """A new row."""
    return BeehiveRow(**columns(msgspec.structs.asdict(beehive)))


def beehive_of(row: BeehiveRow) -> Beehive:
    """What a row says.  Not checked again: what was entered stays readable, should the rules become stricter."""
    values: dict[str, Any] = {name: getattr(row, name) for name in Beehive.__struct_fields__}
    values["labels"] = msgspec.json.decode(row.labels, type=dict[str, str])
    for name in ("backends", "devices"):
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name], type=tuple[str, ...])
    return Beehive(**values)
