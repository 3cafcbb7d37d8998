"""The registry of beehives: what the operator wants, and how the last contact with each went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from rbee.beehives.beehive import Beehive, BeehiveChanges, BeehiveReach, BeehiveStatus, Entered, Place, checked
from rbee.beehives.later import unknown
from rbee.beehives.rows import SCHEMA, BeehiveRow, beehive_of, columns, row_of
from rbee.contract.errors import ConflictError
from rbee.contract.wire import utc_now
from rbee.storage import Store, file_url, in_turn


class BeehiveRegistry(Store):
    """Beehives in a data base; several programs may use it at once.

    Args:
        url: any SQLAlchemy URL; ``sqlite+aiosqlite://`` keeps everything in memory.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url, SCHEMA)

    @classmethod
    def at(cls, path: Path) -> BeehiveRegistry:
        """A registry in a SQLite file, readable by this user alone."""
        return cls(file_url(path))

    async def add(self, beehive: BeehiveChanges, *, update: bool = False) -> Beehive:
        """Enter a machine.

        Args:
            beehive: what is said of it.
            update: change one of that name, should there be one; what is not said stays.

        Raises:
            InvalidRequestError: something is out of bounds.
            ConflictError: there is one of that name already.
        """
        await self.enter([beehive], update=update)
        return await self.get(beehive.node_name)

    async def enter(self, beehives: Sequence[BeehiveChanges], *, update: bool = False) -> Entered:
        """Enter several machines, all or none.

        Raises:
            InvalidRequestError: something is out of bounds; nothing was entered.
            ConflictError: one is there already; nothing was entered.
        """
        sound = [checked(one) for one in beehives]
        try:
            return await self._enter_all(sound, update)
        except IntegrityError:
            # Somebody else entered the same name since we looked: now it can be seen.
            return await self._enter_all(sound, update)

    @in_turn
    async def get(self, node_name: str) -> Beehive:
        """The machine of that name.

        Raises:
            NotFoundError: there is none.
        """
        async with self.data_base.reading() as session:
            row = await session.get(BeehiveRow, node_name)
            if row is None:
                raise unknown(node_name)
            return beehive_of(row)

    @in_turn
    async def list(self) -> list[Beehive]:
        """All machines, by name."""
        async with self.data_base.reading() as session:
            rows = await session.exec(select(BeehiveRow).order_by(col(BeehiveRow.node_name)))
            return sorted((beehive_of(row) for row in rows.all()), key=lambda one: one.node_name)

    @in_turn
    async def remove(self, node_name: str) -> None:
        """Take a machine out.

        Raises:
            NotFoundError: there is none of that name.
        """
        async with self.data_base.writing() as session:
            done = await session.exec(delete(BeehiveRow).where(col(BeehiveRow.node_name) == node_name))
            if done.rowcount == 0:
                raise unknown(node_name)

    async def update(self, changes: BeehiveChanges) -> Beehive:
        """Change what is said of a machine; what is not said stays.

        Raises:
            InvalidRequestError: something is out of bounds.
            NotFoundError: there is none of that name.
        """
        return await self._revise(checked(changes))

    async def set_contact(
        self,
        node_name: str,
        status: BeehiveStatus,
        when: float | None = None,
        *,
        backends: Sequence[str] | None = None,
        devices: Sequence[str] | None = None,
        reach: BeehiveReach | None = None,
        tunnel_port: int | None = None,
        place: Place | None = None,
    ) -> None:
        """Note how a contact went; what the operator has said is not touched.

        Args:
            node_name: of the machine.
            status: what was found.
            when: Unix time at which its hive answered; None when it did not, and the last time stays.
            backends: as its hive tells; None leaves what is known.
            devices: likewise.
            reach: how it was reached; None leaves what is known.
            tunnel_port: the port of its loopback that leads to the queen, likewise.
            place: where it was tried; what was found there says nothing of a machine that has moved since.

        Raises:
            NotFoundError: there is none of that name, or at that place, any more.
        """
        values: dict[str, Any] = {
            "status": status,
            "last_connected_unix": None if when is None else int(when),
            "backends": None if backends is None else tuple(backends),
            "devices": None if devices is None else tuple(devices),
            "reach": reach,
            "tunnel_port": tunnel_port,
        }
        found = columns({name: value for name, value in values.items() if value is not None})
        await self._change(node_name, found, {} if place is None else place._asdict())

    @in_turn
    async def _enter_all(self, beehives: Sequence[BeehiveChanges], update: bool) -> Entered:
        added: dict[str, None] = {}
        updated: dict[str, None] = {}
        async with self.data_base.writing() as session:
            for one in beehives:
                row = await _locked(session, one.node_name)
                if row is None:
                    now = utc_now()
                    session.add(row_of(Beehive(node_name=one.node_name, created_at=now, updated_at=now, **one.said())))
                    await session.flush()
                    added[one.node_name] = None
                elif update and one.node_name not in added:
                    _apply(row, one)
                    updated[one.node_name] = None
                else:
                    raise ConflictError(
                        f"Beehive {one.node_name!r} is there already. Change it with --update (in a request: update), "
                        f"or remove it first: rbee hive rm {one.node_name}"
                    )
        return Entered(added=tuple(added), updated=tuple(updated))

    @in_turn
    async def _revise(self, changes: BeehiveChanges) -> Beehive:
        async with self.data_base.writing() as session:
            row = await _locked(session, changes.node_name)
            if row is None:
                raise unknown(changes.node_name)
            _apply(row, changes)
            return beehive_of(row)

    @in_turn
    async def _change(self, node_name: str, values: dict[str, Any], unless_moved: dict[str, Any]) -> None:
        async with self.data_base.writing() as session:
            # One statement, which names only what changes: two writers do not undo each other's columns.
            statement = update(BeehiveRow).where(col(BeehiveRow.node_name) == node_name).values(**values)
            for name, value in unless_moved.items():
                statement = statement.where(getattr(BeehiveRow, name).is_not_distinct_from(value))
            if (await session.exec(statement)).rowcount == 0:
                raise unknown(node_name)


async def _locked(session: AsyncSession, node_name: str) -> BeehiveRow | None:
    """The row, which nobody else changes until this transaction ends."""
    query = select(BeehiveRow).where(col(BeehiveRow.node_name) == node_name).with_for_update()
    return (await session.exec(query)).first()


def _apply(row: BeehiveRow, changes: BeehiveChanges) -> None:
    said = columns(changes.said())
    moved = any(name in said and said[name] != getattr(row, name) for name in Place._fields)
    if moved:
        # What was found at the old address says nothing of the new one.
        row.status = "unknown"
        row.host_key_fingerprint = None
        row.reach = None
    for name, value in {**said, "updated_at": utc_now()}.items():
        setattr(row, name, value)
