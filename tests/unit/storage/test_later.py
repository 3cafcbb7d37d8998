"""A store is opened when there is something in it, or something is to be entered."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest
from rbee.beehives import BeehiveChanges
from rbee.beehives.later import BeehivesLater
from rbee.contract.errors import ConfigurationError, NotFoundError
from rbee.jobs import JobStore, JobStoreLater
from rbee.queen.past_speeds import PastSpeeds


async def test_looking_makes_no_file_and_finds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "queen.db"
    store = JobStoreLater(path)
    await store.open()
    assert await store.newest() == []
    assert await store.get("job-1") is None
    assert await store.events("job-1", 0) == []
    assert await store.last_events("job-1") == []
    assert await store.last_seq("job-1") == 0
    assert await store.unfinished() == []
    await store.close()
    assert not path.exists()


async def test_the_first_entry_makes_it_and_another_life_finds_it(tmp_path: Path) -> None:
    path = tmp_path / "queen.db"
    store = JobStoreLater(path)
    await asyncio.gather(*(store.add(f"job-{number}", "status", b"{}", None) for number in range(3)))
    await store.append([("job-1", 1, b"x")])
    await store.close()
    again = JobStoreLater(path)
    await again.open()
    assert {row.id for row in await again.unfinished()} == {"job-0", "job-1", "job-2"}
    assert await again.events("job-1", 0) == [(1, b"x")]
    await again.close()


async def test_a_file_that_another_program_makes_meanwhile_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "queen.db"
    mine = JobStoreLater(path)
    await mine.open()
    theirs = JobStore.at(path)
    await theirs.open()
    await theirs.add("job-9", "status", b"{}", None)
    await theirs.close()
    assert [row.id for row in await mine.newest()] == ["job-9"]
    await mine.close()


async def test_a_list_of_machines_is_empty_until_one_is_entered(tmp_path: Path) -> None:
    store = BeehivesLater(tmp_path / "beehives.db")
    await store.open()
    assert await store.list() == []
    for asked in (store.get("box"), store.remove("box")):
        with pytest.raises(NotFoundError, match="'box'"):
            await asked
    assert not (tmp_path / "beehives.db").exists()
    await store.enter([BeehiveChanges(node_name="box", ssh_host="box.local")])
    await store.set_contact("box", "online", 5.0)
    assert (await store.get("box")).status == "online"
    assert [one.node_name for one in await store.list()] == ["box"]
    await store.remove("box")
    await store.close()


def aside(path: Path) -> list[Path]:
    return sorted(
        one for one in path.parent.iterdir() if re.fullmatch(rf"{path.name}\.damaged-\d+T\d+Z(-1)?", one.name)
    )


async def test_a_damaged_file_is_set_aside_and_told_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "speeds.db"
    for _ in range(2):
        path.write_bytes(b"garbage " * 1000)
        speeds = PastSpeeds(path)
        await speeds.open()
        await speeds.close()
    # Also where two are set aside within a second, nothing is lost.
    assert [one.read_bytes() for one in aside(path)] == [b"garbage " * 1000] * 2
    assert not path.exists()
    told = [one.message for one in caplog.records if one.name == "rbee.storage.later"]
    assert len(told) == 2
    assert told[0].startswith(f"'{path}' cannot be used: file is not a database. It is now '{aside(path)[0]}', whole")
    assert "\n" not in told[0]


async def test_damage_that_only_reading_finds_is_set_aside_with_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "queen.db"
    store = JobStoreLater(path)
    for number in range(200):
        await store.add(f"job-{number}", "status", b"{}", None)
    await store.close()
    content = bytearray(path.read_bytes())
    for page in range(8192, len(content), 4096):
        content[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    (tmp_path / "queen.db-wal").write_bytes(b"")
    again = JobStoreLater(path)
    await again.open()
    assert await again.newest() == []
    await again.add("job-new", "status", b"{}", None)
    assert [row.id for row in await again.newest()] == ["job-new"]
    await again.close()
    assert aside(path)[0].read_bytes()[8192:] == bytes(content[8192:])


async def test_a_folder_in_its_place_is_set_aside_too(tmp_path: Path) -> None:
    path = tmp_path / "beehives.db"
    path.mkdir()
    store = BeehivesLater(path)
    await store.open()
    assert await store.list() == []
    assert aside(path)[0].is_dir()
    await store.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_one_that_may_not_be_read_is_set_aside_too(tmp_path: Path) -> None:
    path = tmp_path / "speeds.db"
    path.write_bytes(b"")
    path.chmod(0)
    await PastSpeeds(path).open()
    assert len(aside(path)) == 1


async def test_one_of_a_newer_program_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "queen.db"
    store = JobStore.at(path)
    await store.open()
    async with store.data_base.writing() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("UPDATE jobs_version SET version_num = 'jobs9999'")
    await store.close()
    with pytest.raises(ConfigurationError, match="a newer rbee"):
        await JobStoreLater(path).open()
    assert aside(path) == []
