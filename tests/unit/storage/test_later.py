"""A store is opened when there is something in it, or something is to be entered."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from rbee.beehives import BeehiveChanges
from rbee.beehives.later import BeehivesLater
from rbee.contract.errors import NotFoundError
from rbee.jobs import JobStore, JobStoreLater


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
