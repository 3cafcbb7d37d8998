"""Models on one machine, with vendors made of memory."""

from __future__ import annotations

import asyncio
import errno
import shutil
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from rbee.catalog import ModelCatalog, Resolver
from rbee.catalog.provisioner import folder_name
from rbee.contract import ModelFile
from rbee.contract.errors import (
    ConfigurationError,
    InsufficientDiskError,
    ModelFileError,
    ModelNotFoundError,
    NotFoundError,
    UnavailableError,
    UnreachableError,
)

PATIENCE_S = 10


def quiet(done: int, total: int | None) -> None:
    """Nobody watches."""


@pytest.fixture
async def catalog(tmp_path: Path, shelf) -> AsyncIterator[ModelCatalog]:
    made = ModelCatalog(tmp_path, Resolver([shelf]))
    await made.open()
    yield made
    await made.close()


async def joined(catalog: ModelCatalog, count: int) -> None:
    """Return once so many wait for the one fetch."""
    async with asyncio.timeout(PATIENCE_S):
        while sum(fetch.wanted_by for fetch in catalog._fetches.values()) < count:
            await asyncio.sleep(0.001)


async def begun(shelf) -> None:
    assert await asyncio.to_thread(shelf.started.wait, PATIENCE_S)


async def test_a_model_is_fetched_verified_and_found_again(catalog, shelf, tmp_path: Path) -> None:
    variant = shelf.put("m", {"m.blob": b"abc", "extra/notes": b"de"})
    told = []
    entry = await catalog.ensure(variant, lambda done, total: told.append((done, total)))
    assert Path(entry.path).read_bytes() == b"abc"
    assert Path(entry.path).is_relative_to(tmp_path)
    assert told == [(3, 5), (5, 5)]
    assert await catalog.find("shelf:m") == entry
    assert await catalog.ensure(variant, quiet) == entry
    assert shelf.fetches == 1
    assert await catalog.list() == [entry]


async def test_a_model_whose_first_file_lies_deeper_is_found_again(catalog, shelf) -> None:
    variant = shelf.put("m", {"deep/er/m.blob": b"abc", "other": b"d"})
    entry = await catalog.ensure(variant, quiet)
    assert Path(entry.path).read_bytes() == b"abc"
    assert await catalog.find("shelf:m") == entry


async def test_the_data_base_is_for_this_user_alone(catalog, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "catalog.db").stat().st_mode) == 0o600


async def test_entries_outlive_the_program(catalog, shelf, tmp_path: Path) -> None:
    entry = await catalog.ensure(shelf.put("m", {"m.blob": b"abc"}), quiet)
    await catalog.close()
    again = ModelCatalog(tmp_path, Resolver([]))
    await again.open()
    assert await again.find("shelf:m") == entry
    await again.close()


async def test_a_model_that_lost_a_file_is_fetched_anew(catalog, shelf) -> None:
    variant = shelf.put("m", {"m.blob": b"abc"})
    entry = await catalog.ensure(variant, quiet)
    Path(entry.path).write_bytes(b"ab")
    assert await catalog.find("shelf:m") is None
    again = await catalog.ensure(variant, quiet)
    assert Path(again.path).read_bytes() == b"abc"
    assert shelf.fetches == 2


async def test_a_model_that_changed_at_its_source_is_fetched_anew(catalog, shelf) -> None:
    await catalog.ensure(shelf.put("m", {"m.blob": b"old"}), quiet)
    entry = await catalog.ensure(shelf.put("m", {"m.blob": b"newer"}), quiet)
    assert Path(entry.path).read_bytes() == b"newer"


async def test_all_who_want_a_model_share_one_fetch(catalog, shelf) -> None:
    variant = shelf.put("m", {"m.blob": b"abc"})
    shelf.gate.clear()
    told: list[int] = []
    waiting = [asyncio.create_task(catalog.ensure(variant, lambda done, _: told.append(done))) for _ in range(4)]
    await joined(catalog, 4)
    shelf.gate.set()
    entries = await asyncio.gather(*waiting)
    assert all(entry == entries[0] for entry in entries)
    assert shelf.fetches == 1
    assert told == [3, 3, 3, 3]


async def test_one_of_two_may_leave_without_disturbing_the_other(catalog, shelf) -> None:
    variant = shelf.put("m", {"m.blob": b"abc"})
    shelf.gate.clear()
    stays, leaves = (asyncio.create_task(catalog.ensure(variant, quiet)) for _ in range(2))
    await joined(catalog, 2)
    await begun(shelf)
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    assert not shelf.left.is_set()
    shelf.gate.set()
    assert (await stays).variant == variant
    assert shelf.fetches == 1


async def test_the_last_to_leave_ends_the_fetch(catalog, shelf) -> None:
    variant = shelf.put("m", {"m.blob": b"abc"})
    shelf.gate.clear()
    waiting = [asyncio.create_task(catalog.ensure(variant, quiet)) for _ in range(2)]
    await joined(catalog, 2)
    await begun(shelf)
    for task in waiting:
        task.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 2
    assert shelf.left.is_set()
    assert await catalog.find("shelf:m") is None
    shelf.gate.set()
    assert (await catalog.ensure(variant, quiet)).variant == variant


async def test_who_leaves_hears_of_the_leaving_and_not_of_the_vendors_trouble(catalog, shelf, monkeypatch) -> None:
    variant = shelf.put("m", {"m.blob": b"abc"})
    entered = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fetch(variant, destination, progress, cancel) -> None:
        loop.call_soon_threadsafe(entered.set)
        while not cancel.cancelled:
            shelf.started.wait(0.005)
        raise UnreachableError("the line broke as it was cut")

    monkeypatch.setattr(shelf, "fetch", fetch)
    task = asyncio.create_task(catalog.ensure(variant, quiet))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_closing_ends_what_is_being_fetched(catalog, shelf) -> None:
    shelf.gate.clear()
    task = asyncio.create_task(catalog.ensure(shelf.put("m", {"m.blob": b"abc"}), quiet))
    await begun(shelf)
    await catalog.close()
    assert shelf.left.is_set()
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], Exception)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"m.blob": b"ab"}, "has 2 bytes instead of 3"),
        ({"m.blob": b"xyz"}, "checksum"),
        ({}, "did not bring"),
    ],
    ids=["truncated", "corrupt", "missing"],
)
async def test_a_bad_file_is_refused_removed_and_can_be_fetched_again(
    catalog, shelf, tmp_path: Path, written: dict, told: str
) -> None:
    variant = shelf.put("m", {"m.blob": b"abc"}, written=written)
    with pytest.raises(ModelFileError, match=told):
        await catalog.ensure(variant, quiet)
    assert list(tmp_path.rglob("m.blob")) == []
    assert await catalog.list() == []
    shelf.put("m", {"m.blob": b"abc"})
    assert Path((await catalog.ensure(variant, quiet)).path).read_bytes() == b"abc"


async def test_good_parts_of_an_earlier_try_are_kept(catalog, shelf, tmp_path: Path) -> None:
    variant = shelf.put("m", {"a": b"good", "b": b"good"}, written={"a": b"good", "b": b"bad!"})
    with pytest.raises(ModelFileError):
        await catalog.ensure(variant, quiet)
    assert [path.read_bytes() for path in tmp_path.rglob("a")] == [b"good"]


@pytest.mark.parametrize("name", ["../escaped", "deep/../../escaped", "{root}/escaped"])
async def test_a_file_outside_the_models_folder_is_refused(catalog, shelf, tmp_path: Path, name: str) -> None:
    name = name.format(root=tmp_path)
    variant = shelf.put("m", {"m.blob": b"abc"})
    evil = msgspec.structs.replace(variant, files=(*variant.files, ModelFile(name=name)))
    with pytest.raises(ModelFileError, match="leaves its folder"):
        await catalog.ensure(evil, quiet)
    assert await catalog.list() == []


async def test_a_link_out_of_the_folder_is_refused(catalog, shelf, tmp_path: Path, monkeypatch) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"abc")
    variant = shelf.put("m", {"m.blob": b"abc"})
    monkeypatch.setattr(shelf, "fetch", lambda _v, folder, _p, _c: (folder / "m.blob").symlink_to(secret))
    with pytest.raises(ModelFileError, match="leaves its folder"):
        await catalog.ensure(variant, quiet)
    assert secret.read_bytes() == b"abc"


async def test_too_little_disk_is_told_before_anything_is_fetched(catalog, shelf, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(InsufficientDiskError, match="RBEE_HOME") as caught:
        await catalog.ensure(shelf.put("m", {"m.blob": b"abc"}), quiet)
    assert caught.value.details == {"needed_bytes": 3, "free_bytes": 1000}
    assert shelf.fetches == 0


async def test_a_file_in_place_is_neither_copied_nor_deleted(catalog, shelf, tmp_path: Path) -> None:
    mine = tmp_path / "mine.blob"
    mine.write_bytes(b"abc")
    entry = await catalog.ensure(shelf.put("m", {"mine.blob": b"abc"}, in_place=str(mine)), quiet)
    assert (entry.path, shelf.fetches) == (str(mine), 0)
    await catalog.remove("shelf:m")
    assert mine.read_bytes() == b"abc"
    assert await catalog.list() == []


async def test_a_file_in_place_that_is_gone_is_not_found(catalog, shelf, tmp_path: Path) -> None:
    mine = tmp_path / "mine.blob"
    mine.write_bytes(b"abc")
    await catalog.ensure(shelf.put("m", {}, in_place=str(mine)), quiet)
    mine.unlink()
    assert await catalog.find("shelf:m") is None


async def test_removing_deletes_the_files_of_that_model_alone(catalog, shelf) -> None:
    first = await catalog.ensure(shelf.put("a", {"m.blob": b"abc"}), quiet)
    second = await catalog.ensure(shelf.put("b", {"m.blob": b"abc"}), quiet)
    await catalog.remove("shelf:a")
    assert not Path(first.path).exists()
    assert Path(second.path).exists()
    with pytest.raises(NotFoundError, match="'shelf:a'"):
        await catalog.remove("shelf:a")


async def test_on_a_full_disk_the_files_go_first_and_then_the_list_is_written(
    catalog, shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = await catalog.ensure(shelf.put("m", {"m.blob": b"abc"}), quiet)
    folder, written = Path(entry.path).parent, catalog._store.remove
    doomed = folder.parent / ".trash"

    async def remove(model_id: str) -> bool:
        if folder.exists() or any(doomed.iterdir()):
            raise UnavailableError("database or disk is full")
        return await written(model_id)

    monkeypatch.setattr(catalog._store, "remove", remove)
    await catalog.remove("shelf:m")
    assert await catalog.list() == []


async def test_where_not_even_a_folder_has_room_a_model_is_deleted_all_the_same(
    catalog, shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = await catalog.ensure(shelf.put("m", {"m.blob": b"abc"}), quiet)
    made = Path.mkdir

    def mkdir(path: Path, *args, **more) -> None:
        if path.name == ".trash":
            raise OSError(errno.ENOSPC, "No space left on device")
        made(path, *args, **more)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    shutil.rmtree(tmp_path / ".trash", ignore_errors=True)
    await catalog.remove("shelf:m")
    assert not Path(entry.path).exists()
    assert not (tmp_path / ".trash").exists()


async def test_tidying_a_full_disk_deletes_no_model_that_the_list_cannot_take(
    catalog, shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = await catalog.ensure(shelf.put("m", {"m.blob": b"abc"}), quiet)
    await catalog._store.remove("shelf:m")

    async def put(_: object) -> None:
        raise UnavailableError("database or disk is full")

    with monkeypatch.context() as full:
        full.setattr(catalog._store, "put", put)
        assert (await catalog.collect_garbage(dry_run=False)).removed == ()
    assert Path(entry.path).read_bytes() == b"abc"
    await catalog.collect_garbage(dry_run=False)
    assert [one.variant.model_id for one in await catalog.list()] == ["shelf:m"]


async def test_a_model_without_files_has_no_path(catalog, shelf) -> None:
    entry = await catalog.ensure(shelf.put("m", {}), quiet)
    assert (entry.path, shelf.fetches) == (None, 0)
    assert await catalog.find("shelf:m") == entry


async def test_a_model_of_a_vendor_that_is_not_installed_is_refused(catalog, shelf) -> None:
    foreign = msgspec.structs.replace(shelf.put("m", {"a": b"a"}), vendor="moon")
    with pytest.raises(ModelNotFoundError, match="'moon'"):
        await catalog.ensure(foreign, quiet)


async def test_a_data_base_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent/catalog\.db"):
        await ModelCatalog(tmp_path / "absent", Resolver([])).open()


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b:Q8", "..", "x" * 500, "ü\0", ""])
def test_a_folders_name_is_one_plain_part(name: str) -> None:
    made = folder_name(name)
    assert Path(made).name == made
    assert len(made) < 120
    assert not made.startswith(".")
    assert folder_name(name + "x") != made


async def test_a_vendor_that_does_not_notice_is_left_behind(catalog, shelf, monkeypatch, caplog) -> None:
    monkeypatch.setattr("rbee.catalog.catalog.LEAVE_S", 0.05)
    entered, release, daemon = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def fetch(variant, destination, progress, cancel) -> None:
        daemon.append(threading.current_thread().daemon)
        loop.call_soon_threadsafe(entered.set)
        release.wait(PATIENCE_S)

    monkeypatch.setattr(shelf, "fetch", fetch)
    task = asyncio.create_task(catalog.ensure(shelf.put("m", {"m.blob": b"abc"}), quiet))
    await entered.wait()
    async with asyncio.timeout(PATIENCE_S / 2):
        await catalog.close()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert "shelf:m does not end" in caplog.text
    assert daemon == [True]
    release.set()


async def test_who_leaves_a_deaf_vendor_does_not_wait_for_ever(catalog, shelf, monkeypatch) -> None:
    monkeypatch.setattr("rbee.catalog.catalog.LEAVE_S", 0.05)
    entered, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def fetch(variant, destination, progress, cancel) -> None:
        loop.call_soon_threadsafe(entered.set)
        release.wait(PATIENCE_S)

    monkeypatch.setattr(shelf, "fetch", fetch)
    task = asyncio.create_task(catalog.ensure(shelf.put("m", {"m.blob": b"abc"}), quiet))
    await entered.wait()
    task.cancel()
    async with asyncio.timeout(PATIENCE_S / 2):
        with pytest.raises(asyncio.CancelledError):
            await task
    release.set()


async def test_a_caller_that_is_cancelled_breaks_no_statement_off(catalog, shelf) -> None:
    entry = await catalog.ensure(shelf.put("m", {"m.blob": b"abc"}), quiet)
    for pauses in range(8):
        asking = asyncio.create_task(catalog.list())
        for _ in range(pauses):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert await catalog.list() == [entry]
