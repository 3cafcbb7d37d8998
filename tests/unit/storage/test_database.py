"""Opening, using and closing a data base."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from rbee.contract.errors import ConfigurationError, UnavailableError
from rbee.storage import DataBase, Schema, Store, in_turn
from sqlalchemy.exc import IntegrityError

METADATA = sa.MetaData()
NUMBERS = sa.Table("numbers", METADATA, sa.Column("number", sa.Integer, primary_key=True))
SCHEMA = Schema("numbers", METADATA, ("numbers0001",), Path(__file__).parent)
PATIENCE_S = 20.0


class Numbers(Store):
    """Numbers, each once."""

    def __init__(self, url: str) -> None:
        super().__init__(url, SCHEMA)
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    @in_turn
    async def put(self, number: int) -> None:
        async with self.data_base.writing() as session:
            await session.exec(NUMBERS.insert().values(number=number))

    @in_turn
    async def put_all(self, numbers: list[int]) -> None:
        async with self.data_base.writing() as session:
            for number in numbers:
                await session.exec(NUMBERS.insert().values(number=number))

    @in_turn
    async def put_slowly(self, number: int) -> None:
        async with self.data_base.writing() as session:
            await session.exec(NUMBERS.insert().values(number=number))
            self.begun.set()
            await self.go.wait()

    @in_turn
    async def next(self) -> int:
        async with self.data_base.writing() as session:
            highest = (await session.exec(sa.select(sa.func.max(NUMBERS.c.number)))).scalar() or 0
            await session.exec(NUMBERS.insert().values(number=highest + 1))
            return int(highest) + 1

    @in_turn
    async def all(self) -> list[int]:
        async with self.data_base.reading() as session:
            return sorted((await session.exec(sa.select(NUMBERS.c.number))).scalars().all())


async def begun(store: Numbers) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await store.begun.wait()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_what_is_written_can_be_read(data_base_url: str) -> None:
    store = Numbers(data_base_url)
    await store.open()
    await asyncio.gather(*(store.put(number) for number in range(20)))
    assert await store.all() == list(range(20))
    await store.close()


async def test_work_ends_also_when_its_caller_is_cancelled(data_base_url: str) -> None:
    store = Numbers(data_base_url)
    await store.open()
    caller = asyncio.create_task(store.put_slowly(7))
    await begun(store)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    store.go.set()
    async with asyncio.timeout(PATIENCE_S):
        while await store.all() != [7]:
            await asyncio.sleep(0.01)
    await store.close()


async def test_closing_waits_for_what_is_being_done(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/one.db"
    store = Numbers(url)
    await store.open()
    caller = asyncio.create_task(store.put_slowly(7))
    await begun(store)
    caller.cancel()
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    store.go.set()
    await closing
    with pytest.raises(asyncio.CancelledError):
        await caller
    again = Numbers(url)
    await again.open()
    assert await again.all() == [7]
    await again.close()


async def test_a_failure_after_its_caller_was_cancelled_is_told(
    data_base_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Numbers(data_base_url)
    await store.open()
    caller = asyncio.create_task(store.put_slowly(1))
    await begun(store)
    doomed = asyncio.create_task(store.put(1))
    await asyncio.sleep(0)
    doomed.cancel()
    store.go.set()
    await caller
    await store.close()
    assert "what a cancelled caller had begun failed" in caplog.text
    with pytest.raises(asyncio.CancelledError):
        await doomed


async def test_a_block_that_raises_writes_nothing(data_base_url: str) -> None:
    store = Numbers(data_base_url)
    await store.open()
    await store.put(1)
    with pytest.raises(IntegrityError):
        await store.put_all([2, 1])
    assert await store.all() == [1]
    await store.close()


async def test_two_who_read_and_then_write_do_not_fail_each_other(tmp_path: Path) -> None:
    stores = [Numbers(f"sqlite:///{tmp_path}/one.db") for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    taken = await asyncio.gather(*(store.next() for store in stores for _ in range(15)))
    assert sorted(taken) == list(range(1, 46))
    await asyncio.gather(*(store.close() for store in stores))


async def test_the_file_and_its_companions_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Numbers(f"sqlite:///{tmp_path}/one.db")
        await store.open()
        await store.put(1)
        files = sorted(tmp_path.iterdir())
        assert [path.name for path in files] == ["one.db", "one.db-shm", "one.db-wal"]
        assert {mode(path) for path in files} == {0o600}
        await store.close()
    finally:
        os.umask(before)


async def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    path.touch()
    path.chmod(0o644)
    store = Numbers(f"sqlite:///{path}")
    await store.open()
    assert mode(path) == 0o600
    await store.close()


async def test_foreign_keys_are_kept_and_the_journal_is_written_ahead(tmp_path: Path) -> None:
    store = Numbers(f"sqlite:///{tmp_path}/one.db")
    await store.open()
    async with store.data_base.reading() as session:
        found = [
            (await session.exec(sa.text(f"PRAGMA {name}"))).scalar()
            for name in ("foreign_keys", "journal_mode", "busy_timeout")
        ]
    assert found == [1, "wal", 30000]
    await store.close()


async def test_a_folder_is_no_data_base(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"Data base '{tmp_path}' cannot be opened: Is a directory"):
        await DataBase(f"sqlite:///{tmp_path}", SCHEMA).open()


async def test_a_file_that_is_no_data_base_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, " * 100)
    with pytest.raises(ConfigurationError, match=r"letter.txt' cannot be opened: file is not a database"):
        await DataBase(f"sqlite:///{path}", SCHEMA).open()
    assert path.read_text() == "Dear reader, " * 100


async def test_a_damaged_file_is_told_with_what_helps_and_what_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a b.db"
    path.write_bytes(b"garbage " * 1000)
    schema = SCHEMA._replace(lost="All numbers are gone.")
    told = f"Move it away, and a new one is made: mv '{path}' '{path}.damaged'. All numbers are gone."
    with pytest.raises(ConfigurationError, match=re.escape(told) + "$"):
        await DataBase(f"sqlite:///{path}", schema).open()


async def test_damage_that_is_found_later_is_told_with_what_helps_too(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    store = Numbers(f"sqlite:///{path}")
    await store.open()
    await store.put_all(list(range(5000)))
    await store.close()
    content = bytearray(path.read_bytes())
    # The first two pages have the tables' shapes, which are read at the start.
    content[3 * 4096 :] = b"\xff" * (len(content) - 3 * 4096)
    path.write_bytes(content)
    await store.open()
    with pytest.raises(UnavailableError, match="Move it away"):
        async with store.data_base.reading() as session:
            (await session.exec(sa.select(sa.func.sum(NUMBERS.c.number)))).all()
    await store.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://rbee:s3cret@127.0.0.1:1/rbee",
        "postgresql+asyncpg://rbee@127.0.0.1:1/rbee?password=s3cret",
        "rbee:s3cret@nowhere",
        "mysterydb://rbee:s3cret@127.0.0.1/rbee",
        "postgresql://rbee:s3cret@127.0.0.1:port/rbee",
    ],
)
async def test_an_error_never_tells_the_password(url: str) -> None:
    with pytest.raises((ConfigurationError, UnavailableError)) as caught:
        await DataBase(url, SCHEMA).open()
    assert "s3cret" not in str(caught.value)
    assert "ata base" in str(caught.value)


async def test_a_driver_that_is_not_installed_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "asyncpg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'rbee\[postgres\]'"):
        await DataBase("postgresql://rbee@127.0.0.1:1/rbee", SCHEMA).open()


async def test_a_server_that_loses_the_data_base_is_an_error_that_may_pass(postgres: str, postgres_url: str) -> None:
    import asyncpg

    store = Numbers(postgres_url)
    await store.open()
    await store.put(1)
    name = postgres_url.rpartition("/rbee_")[2].partition("?")[0]
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"ALTER DATABASE rbee_{name} ALLOW_CONNECTIONS false")
    await admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'rbee_{name}'")
    with pytest.raises(UnavailableError, match="cannot be used now"):
        await store.put(2)
    await admin.execute(f"ALTER DATABASE rbee_{name} ALLOW_CONNECTIONS true")
    await admin.close()
    await store.put(2)
    assert await store.all() == [1, 2]
    await store.close()


async def test_use_before_opening_is_a_defect(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="before it was opened"):
        await Numbers(f"sqlite:///{tmp_path}/one.db").all()


async def test_closing_twice_or_unopened_is_harmless(tmp_path: Path) -> None:
    store = Numbers(f"sqlite:///{tmp_path}/one.db")
    await store.close()
    await store.open()
    await store.close()
    await store.close()
    assert not store.data_base.is_open


async def test_tables_that_take_long_to_be_made_are_made(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rbee.storage.database._ANSWER_S", 0.2)
    monkeypatch.setattr("rbee.storage.database._CONNECT_S", 1.0)
    metadata = sa.MetaData()
    sa.Table("slow", metadata, sa.Column("number", sa.Integer, primary_key=True))

    @sa.event.listens_for(metadata, "before_create")
    def _slowly(_target: object, connection: sa.Connection, **_more: object) -> None:
        connection.execute(sa.text("SELECT pg_sleep(1.5)"))

    store = Store(postgres_url, Schema("slow", metadata, ("slow0001",), Path(__file__).parent))
    await store.open()
    assert store.data_base.is_open
    await store.close()


async def test_a_server_that_does_not_answer_a_statement_is_not_waited_for(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rbee.storage.database._ANSWER_S", 0.2)
    store = Numbers(postgres_url)
    await store.open()
    try:
        with pytest.raises(UnavailableError, match="cannot be used now"):
            async with asyncio.timeout(10), store.data_base.reading() as session:
                await session.exec(sa.text("SELECT pg_sleep(30)"))
    finally:
        await store.close()


async def test_a_server_that_is_away_is_an_error_that_may_pass_also_at_the_start(
    postgres: str, postgres_url: str
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="rbee-away-"))
    there = postgres.partition("host=")[2]
    store = Numbers(postgres_url.replace(there, str(folder / "link")))
    try:
        for _ in range(2):
            with pytest.raises(UnavailableError, match="cannot be opened"):
                await store.open()
            with pytest.raises(UnavailableError, match="cannot be opened"):
                await store.all()
        (folder / "link").symlink_to(there)
        await store.open()
        await store.put(1)
        assert await store.all() == [1]
    finally:
        await store.close()
        shutil.rmtree(folder)


async def test_a_server_that_refuses_us_will_do_so_again(postgres_url: str) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        await DataBase(postgres_url.replace("/rbee_", "/not_rbee_"), SCHEMA).open()
