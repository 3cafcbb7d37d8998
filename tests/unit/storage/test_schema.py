"""Tables that are made, found, and brought up to date."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from rbee.beehives import BeehiveChanges
from rbee.beehives.registry import BeehiveRegistry
from rbee.beehives.rows import SCHEMA as BEEHIVES
from rbee.catalog.alias_store import SCHEMA as ALIASES
from rbee.catalog.store import SCHEMA as CATALOG
from rbee.catalog.store import CatalogStore
from rbee.contract.errors import ConfigurationError
from rbee.jobs.store import SCHEMA as JOBS
from rbee.jobs.store import JobStore
from rbee.queen.ledger_store import SCHEMA as MEMORY
from rbee.queen.speed_store import SCHEMA as SPEEDS
from rbee.queen.standing_store import SCHEMA as STANDING
from rbee.storage import DataBase, Schema
from rbee.storage.schema import bring_up_to_date, revision_of

SCHEMAS = {
    "aliases": ALIASES,
    "beehives": BEEHIVES,
    "catalog": CATALOG,
    "jobs": JOBS,
    "memory": MEMORY,
    "speeds": SPEEDS,
    "standing": STANDING,
}

# What rbee made before it had migrations.
OLD_JOBS = """
CREATE TABLE jobs (
    id VARCHAR NOT NULL, operation VARCHAR NOT NULL, request VARCHAR NOT NULL, state VARCHAR NOT NULL,
    correlation_id VARCHAR, created_at DATETIME NOT NULL, finished_at DATETIME, error_code VARCHAR,
    error_message VARCHAR, PRIMARY KEY (id)
);
CREATE INDEX ix_jobs_operation ON jobs (operation);
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE TABLE job_events (job_id VARCHAR NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (job_id, seq));
INSERT INTO jobs VALUES ('job-1', 'infer', '{}', 'completed', NULL, '2026-11-01 12:00:00.000000',
    '2026-11-01 12:00:01.500000', NULL, NULL);
INSERT INTO job_events VALUES ('job-1', 1, X'7B7D');
"""
OLD_CATALOG = """
CREATE TABLE models (
    model_id VARCHAR NOT NULL, name VARCHAR NOT NULL, vendor VARCHAR NOT NULL, format VARCHAR NOT NULL, path VARCHAR,
    variant BLOB NOT NULL, added_at DATETIME NOT NULL, PRIMARY KEY (model_id)
);
CREATE INDEX ix_models_name ON models (name);
INSERT INTO models VALUES ('shelf:m', 'm', 'shelf', 'blob', NULL,
    '{"model_id":"shelf:m","name":"m","vendor":"shelf","format":"blob"}', '2026-11-01 12:00:00.000000');
"""


def run_sql(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()


async def migrated(url: str, schema: Schema) -> list[object]:
    """Go through all migrations from nothing, and say what is different from the tables of the program."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from rbee.storage import schema as module

    data_base = DataBase(url, schema)
    engine = data_base._make_engine(__import__("rbee.storage.urls", fromlist=["parsed"]).parsed(url))

    def work(connection: sa.Connection) -> list[object]:
        module._migrate(schema, connection)
        assert revision_of(schema, connection) == schema.head
        mine = {"include_object": lambda _o, name, kind, *_: kind != "table" or name != schema.version_table}
        return list(compare_metadata(MigrationContext.configure(connection, opts=mine), schema.metadata))

    async with engine.begin() as connection:
        found = await connection.run_sync(work)
    await engine.dispose()
    return found


@pytest.mark.parametrize("name", SCHEMAS)
async def test_the_migrations_lead_to_the_tables_of_the_program(name: str, data_base_url: str) -> None:
    assert await migrated(data_base_url, SCHEMAS[name]) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_program_knows_its_migrations_in_their_order(name: str) -> None:
    from alembic.script import ScriptDirectory

    schema = SCHEMAS[name]
    scripts = ScriptDirectory(schema.folder, version_locations=[schema.folder])
    assert tuple(reversed([one.revision for one in scripts.walk_revisions()])) == schema.revisions
    assert schema.name == name
    assert all(len(revision) <= 32 and revision.startswith(name) for revision in schema.revisions)


async def test_jobs_from_before_the_migrations_are_kept(tmp_path: Path) -> None:
    run_sql(tmp_path / "queen.db", OLD_JOBS)
    store = JobStore.at(tmp_path / "queen.db")
    await store.open()
    job = await store.get("job-1")
    assert job is not None
    assert job.created_at.isoformat() == "2026-11-01T12:00:00+00:00"
    assert await store.events("job-1", 0) == [(1, b"{}")]
    await store.add("job-2", "infer", b"{}", None)
    await store.close()
    await store.open()
    assert [one.id for one in await store.newest()] == ["job-2", "job-1"]
    await store.close()


async def test_models_from_before_the_migrations_are_kept(tmp_path: Path) -> None:
    run_sql(tmp_path / "catalog.db", OLD_CATALOG)
    store = CatalogStore(tmp_path / "catalog.db")
    await store.open()
    (model,) = await store.list()
    assert model.variant.model_id == "shelf:m"
    assert model.added_at.isoformat() == "2026-11-01T12:00:00+00:00"
    await store.close()


async def test_a_data_base_of_a_newer_program_is_refused_and_left_alone(data_base_url: str, tmp_path: Path) -> None:
    if data_base_url.endswith("://"):
        pytest.skip("memory is always new")
    registry = BeehiveRegistry(data_base_url)
    await registry.open()
    await registry.enter([BeehiveChanges(node_name="a")])
    async with registry.data_base.writing() as session:
        await session.exec(sa.text("UPDATE beehives_version SET version_num = 'beehives9999'"))
    await registry.close()
    with pytest.raises(ConfigurationError, match=r"version 'beehives9999'.*a newer rbee has used it\. Update rbee"):
        await registry.open()


async def test_stores_share_a_data_base_without_touching_each_other(postgres_url: str) -> None:
    stores = [JobStore(postgres_url), BeehiveRegistry(postgres_url)]
    for _ in range(2):
        for store in stores:
            await store.open()
        for store in stores:
            await store.close()


async def test_many_who_open_a_new_data_base_at_once_make_its_tables_once(data_base_url: str) -> None:
    if data_base_url.endswith("://"):
        pytest.skip("memory is not shared")
    registries = [BeehiveRegistry(data_base_url) for _ in range(6)]
    await asyncio.gather(*(one.open() for one in registries))
    await asyncio.gather(*(one.enter([BeehiveChanges(node_name=f"n{i}")]) for i, one in enumerate(registries)))
    assert len(await registries[0].list()) == 6
    await asyncio.gather(*(one.close() for one in registries))


def two_steps(folder: Path, second: str) -> Schema:
    """Tables that were made by a first migration and changed by a second."""
    head = "from alembic import op\nimport sqlalchemy as sa\nbranch_labels = depends_on = None\n"
    (folder / "v1.py").write_text(
        f"{head}revision, down_revision = 'things1', None\n"
        "def upgrade():\n    op.create_table('things', sa.Column('id', sa.Integer, primary_key=True))\n"
    )
    (folder / "v2.py").write_text(
        f"{head}revision, down_revision = 'things2', 'things1'\ndef upgrade():\n    {second}\n"
    )
    metadata = sa.MetaData()
    sa.Table("things", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String))
    return Schema("things", metadata, ("things1", "things2"), folder)


async def test_an_older_data_base_is_migrated_without_loss(data_base_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "steps"
    folder.mkdir()
    new = two_steps(folder, "op.add_column('things', sa.Column('name', sa.String))")
    old = new._replace(metadata=sa.MetaData(), revisions=("things1",))
    data_base = DataBase(data_base_url, old)
    engine = data_base._make_engine(sa.make_url(data_base_url.replace("postgresql:", "postgresql+asyncpg:")))
    async with engine.begin() as connection:
        await connection.execute(sa.text("CREATE TABLE things_version (version_num VARCHAR(32) NOT NULL)"))
        await connection.execute(sa.text("INSERT INTO things_version VALUES ('things1')"))
        await connection.execute(sa.text("CREATE TABLE things (id INTEGER PRIMARY KEY)"))
        await connection.execute(sa.text("INSERT INTO things VALUES (5)"))
        await connection.run_sync(lambda sync: bring_up_to_date(new, sync))
        rows = (await connection.execute(sa.text("SELECT id, name FROM things"))).all()
        assert await connection.run_sync(lambda sync: revision_of(new, sync)) == "things2"
    assert [tuple(row) for row in rows] == [(5, None)]
    await engine.dispose()


async def test_a_migration_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "steps"
    folder.mkdir()
    schema = two_steps(folder, "op.add_column('things', sa.Column('name', sa.String)); op.execute('nonsense')")
    path = tmp_path / "one.db"
    run_sql(
        path,
        "CREATE TABLE things_version (version_num VARCHAR(32) NOT NULL); INSERT INTO things_version VALUES ('things1');"
        "CREATE TABLE things (id INTEGER PRIMARY KEY); INSERT INTO things VALUES (5);",
    )
    with pytest.raises(ConfigurationError, match="nonsense"):
        await DataBase(f"sqlite:///{path}", schema).open()
    connection = sqlite3.connect(path)
    assert [row[1] for row in connection.execute("PRAGMA table_info(things)")] == ["id"]
    assert connection.execute("SELECT version_num FROM things_version").fetchall() == [("things1",)]
    connection.close()


def test_opening_a_data_base_that_is_new_or_up_to_date_imports_no_migrations(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom rbee.jobs import JobStore\n"
        "async def main():\n"
        "    for _ in range(2):\n"
        "        store = JobStore.at(Path(sys.argv[1]))\n        await store.open()\n        await store.close()\n"
        "asyncio.run(main())\nassert not [name for name in sys.modules if name.split('.')[0] == 'alembic']\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "one.db")], check=True, timeout=60)
