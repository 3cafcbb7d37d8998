"""The shape of a store's tables, and the way there from every shape they had before."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from rbee.contract.errors import ConfigurationError


class Schema(NamedTuple):
    """Tables of one store; several stores may share a data base.

    Attributes:
        name: of the store, in small letters; its version is kept in the table ``<name>_version``.
        metadata: the tables as the program uses them now.
        revisions: identifiers of all migrations in their order; the last one leads to `metadata`.
        folder: where the migrations are.
        lost: sentences for a person: what is gone with the data base, and what is not.
    """

    name: str
    metadata: sa.MetaData
    revisions: tuple[str, ...]
    folder: Path
    lost: str = ""

    @property
    def head(self) -> str:
        """The present revision."""
        return self.revisions[-1]

    @property
    def version_table(self) -> str:
        """Name of the table with the revision of the data base, in Alembic's form."""
        return f"{self.name}_version"


def revision_of(schema: Schema, connection: Connection) -> str | None:
    """The revision of a data base, None when it holds none.

    Raises:
        ConfigurationError: it is of a newer program.
    """
    if not sa.inspect(connection).has_table(schema.version_table):
        return None
    found: str | None = connection.scalar(sa.select(_version(schema).c.version_num))
    if found is not None and found not in schema.revisions:
        raise ConfigurationError(
            f"its tables are of version {found!r} and this program knows {', '.join(schema.revisions)}: "
            "a newer rbee has used it. Update rbee, or use another data base"
        )
    return found


def bring_up_to_date(schema: Schema, connection: Connection) -> None:
    """Make or migrate the tables, within the transaction that is open; harmless when they are up to date.

    Raises:
        ConfigurationError: the data base is of a newer program.
    """
    found = revision_of(schema, connection)
    if found == schema.head:
        return
    present = set(sa.inspect(connection).get_table_names())
    if found is None and not present & set(schema.metadata.tables):
        # A new data base gets the present shape at once; no migration has to be loaded for that.
        schema.metadata.create_all(connection)
        version = _version(schema)
        version.create(connection, checkfirst=True)
        connection.execute(version.insert().values(version_num=schema.head))
        return
    _migrate(schema, connection)


def _version(schema: Schema) -> sa.Table:
    return sa.Table(
        schema.version_table,
        sa.MetaData(),
        sa.Column("version_num", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("version_num", name=f"{schema.version_table}_pkc"),
    )


def _migrate(schema: Schema, connection: Connection) -> None:
    # Imported late: it takes as long as everything else here, and most starts migrate nothing.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(schema.folder, version_locations=[schema.folder])

    def steps(revision: object, _context: object) -> object:
        return scripts._upgrade_revs(schema.head, revision)  # type: ignore[arg-type]  # noqa: SLF001  # as Alembic's documentation has it

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(
            connection=connection,
            target_metadata=schema.metadata,
            version_table=schema.version_table,
            render_as_batch=True,
        )
        environment.run_migrations()
