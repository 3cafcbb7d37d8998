"""The catalogue with a vendor whose files come over HTTP: linked, resumed, renewed, verified."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from rbee.catalog import ModelCatalog, ModelState, Resolver
from rbee.catalog.layout import PARTS, RECORD, write_record
from rbee.catalog.provisioner import Peer, parts_of
from rbee.contract import ModelFile
from rbee.contract.errors import CancelledByCallerError, ConflictError, ModelFileError, RbeeError

DATA = os.urandom(300_000)


def quiet(done: int, total: int | None) -> None:
    """Nobody watches."""


@pytest.fixture
async def catalog(tmp_path: Path, shop) -> AsyncIterator[ModelCatalog]:
    made = ModelCatalog(tmp_path / "models", Resolver([shop]))
    (tmp_path / "models").mkdir()
    await made.open()
    yield made
    await made.close()


async def half_a_model(catalog: ModelCatalog, shop, hub, data: bytes) -> int:
    """A fetch that is given up in its middle; returns what is kept of it."""
    variant = shop.put("m", {"m.blob": data})
    hub.fault("org/m/m.blob", bytes_per_s=400_000)
    begun = asyncio.Event()
    task = asyncio.create_task(catalog.ensure(variant, lambda done, _total: done > 50_000 and begun.set()))
    await asyncio.wait_for(begun.wait(), 10)
    (row,) = [entry for entry in await catalog.entries() if entry.variant == variant]
    assert row.state is ModelState.DOWNLOADING
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = await catalog.done_bytes(variant)
    assert 50_000 < kept < len(data)
    return kept


async def reopened(catalog: ModelCatalog, shop) -> ModelCatalog:
    await catalog.close()
    again = ModelCatalog(catalog._folder, Resolver([shop]))
    await again.open()
    return again


async def test_a_model_comes_whole_and_its_parts_are_gone(catalog, shop, tmp_path: Path) -> None:
    brought = await catalog.bring(shop.put("m", {"m.blob": DATA, "more/notes": b"x"}), quiet)
    assert Path(brought.entry.path).read_bytes() == DATA
    assert (brought.received_bytes, brought.linked_bytes, brought.already) == (300_001, 0, False)
    assert list((tmp_path / "models" / PARTS).iterdir()) == []
    assert (await catalog.bring(shop.variants["m"], quiet)).already


async def test_files_of_equal_content_are_stored_once(catalog, shop, hub) -> None:
    first = await catalog.bring(shop.put("a", {"m.blob": DATA}), quiet)
    second = await catalog.bring(shop.put("b", {"other.blob": DATA, "new": b"new"}), quiet)
    assert (second.linked_bytes, second.received_bytes) == (300_000, 3)
    assert Path(first.entry.path).samefile(second.entry.path)
    assert hub.ledger.sent("org/b/other.blob") == 0
    await catalog.remove("hub:a")
    assert Path(second.entry.path).read_bytes() == DATA


async def test_what_other_models_share_is_not_counted_as_freed(catalog, shop) -> None:
    first = await catalog.ensure(shop.put("a", {"m.blob": DATA}), quiet)
    assert await catalog.freed_by(first) >= 300_000
    await catalog.ensure(shop.put("b", {"m.blob": DATA}), quiet)
    assert await catalog.freed_by(first) < 10_000


async def test_a_copy_of_another_program_is_linked_and_left_alone(catalog, shop, hub, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "blob").write_bytes(DATA)
    (cache / "m.blob").symlink_to(cache / "blob")
    shop.copies["m.blob"] = cache / "m.blob"
    brought = await catalog.bring(shop.put("m", {"m.blob": DATA}), quiet)
    assert (brought.linked_bytes, brought.received_bytes) == (300_000, 0)
    assert hub.ledger.sent() == 0
    await catalog.remove("hub:m")
    assert (cache / "blob").read_bytes() == DATA


async def test_a_copy_with_other_bytes_is_not_taken(catalog, shop, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(bytes(300_000))
    shop.copies["m.blob"] = wrong
    entry = await catalog.ensure(shop.put("m", {"m.blob": DATA}), quiet)
    assert Path(entry.path).read_bytes() == DATA
    assert wrong.read_bytes() == bytes(300_000)


async def test_a_cancelled_fetch_is_failed_and_goes_on_where_it_ended(catalog, shop, hub) -> None:
    kept = await half_a_model(catalog, shop, hub, DATA)
    (row,) = await catalog.entries()
    assert (row.state, row.path) == (ModelState.FAILED, None)
    assert "goes on from where it ended" in row.error
    again = await reopened(catalog, shop)
    brought = await again.bring(shop.variants["m"], quiet)
    assert Path(brought.entry.path).read_bytes() == DATA
    assert brought.received_bytes == 300_000 - kept
    assert [entry.state for entry in await again.entries()] == [ModelState.AVAILABLE]
    await again.close()


async def test_what_was_fetched_when_the_program_died_is_failed_in_the_next_life(catalog, shop) -> None:
    variant = shop.put("m", {"m.blob": DATA})
    await catalog._store.begin(variant)
    again = await reopened(catalog, shop)
    (row,) = await again.entries()
    assert (row.state, row.error) == (ModelState.FAILED, "rbee ended while it was fetched")
    await again.close()


async def test_wrong_bytes_of_the_vendor_leave_nothing_visible(catalog, shop, hub, tmp_path: Path) -> None:
    hub.fault("org/m/m.blob", wrong=True, times=None)
    with pytest.raises(ModelFileError, match="checksum"):
        await catalog.ensure(shop.put("m", {"m.blob": DATA}), quiet)
    assert await catalog.list() == []
    assert list(tmp_path.rglob("m.blob")) == []
    (row,) = await catalog.entries()
    assert row.state is ModelState.FAILED


async def test_a_newer_revision_replaces_the_older_at_once(catalog, shop, hub) -> None:
    first = await catalog.ensure(shop.put("m", {"m.blob": DATA, "same": b"same" * 1000}), quiet)
    seq = catalog.seq
    newer = DATA[::-1]
    second = await catalog.bring(shop.put("m", {"m.blob": newer, "same": b"same" * 1000}), quiet)
    assert second.entry.path == first.path
    assert Path(second.entry.path).read_bytes() == newer
    assert second.linked_bytes == 4000
    assert hub.ledger.sent("org/m/same") == 4000
    assert catalog.seq > seq


async def test_a_failed_renewal_leaves_the_older_revision(catalog, shop, hub) -> None:
    first = await catalog.ensure(shop.put("m", {"m.blob": DATA}), quiet)
    hub.fault("org/m/m.blob", wrong=True, times=None)
    with pytest.raises(ModelFileError):
        await catalog.ensure(shop.put("m", {"m.blob": DATA[::-1]}), quiet)
    entry = await catalog.find("hub:m")
    assert entry.variant == first.variant
    assert "checksum" in entry.error
    assert Path(entry.path).read_bytes() == DATA


async def test_parts_of_another_revision_are_not_gone_on_with(catalog, shop, hub) -> None:
    await half_a_model(catalog, shop, hub, DATA)
    brought = await catalog.bring(shop.put("m", {"m.blob": DATA[::-1]}), quiet)
    assert Path(brought.entry.path).read_bytes() == DATA[::-1]
    assert brought.received_bytes == 300_000


async def test_a_peer_is_asked_before_the_vendor_and_the_vendor_where_it_fails(shop, hub, tmp_path: Path) -> None:
    good = shop.put("peer", {"a": DATA, "b": DATA[:1000]})
    variant = msgspec.structs.replace(good, model_id="hub:m", name="m")
    hub.add("org/m", {"a": DATA, "b": DATA[:1000]})
    peer = type(shop)(hub)
    peer.source = lambda _variant, file: shop.source(good, file)
    hub.fault("org/peer/b", status=404, times=None)
    said: list[str] = []

    async def peers(_variant, _fetch):
        return [Peer("hive h2", peer)]

    catalog = ModelCatalog(tmp_path, Resolver([shop]), peers)
    await catalog.open()
    wanted = msgspec.structs.replace(variant, revision="main")
    brought = await catalog.bring(wanted, quiet, said.append)
    assert Path(brought.entry.path).read_bytes() == DATA
    assert hub.ledger.sent("org/peer/a") == 300_000
    assert hub.ledger.sent("org/m/*") == 1000
    assert said[0] == "Taking m from hive h2"
    assert "Hive h2 could not give all of it" in said[1]
    await catalog.close()


async def test_a_peer_with_other_bytes_costs_nothing_of_what_was_there(shop, hub, tmp_path: Path) -> None:
    variant = shop.put("m", {"m.blob": DATA})
    bad = shop.put("peer", {"m.blob": DATA[::-1]})
    peer = type(shop)(hub)
    peer.source = lambda _variant, file: shop.source(bad, file)

    async def peers(_variant, _fetch):
        return [Peer("hive h2", peer)]

    catalog = ModelCatalog(tmp_path, Resolver([shop]), peers)
    await catalog.open()
    parts = parts_of(tmp_path, variant.model_id)
    parts.mkdir(parents=True)
    write_record(parts, variant)
    (parts / "m.blob.part").write_bytes(DATA[:200_000])
    entry = await catalog.ensure(variant, quiet)
    assert Path(entry.path).read_bytes() == DATA
    assert hub.ledger.sent("org/peer/*") == 100_000
    assert hub.ledger.sent("org/m/*") == 100_000
    await catalog.close()


async def test_a_lost_list_is_made_anew_from_the_disk(catalog, shop, tmp_path: Path) -> None:
    entry = await catalog.ensure(shop.put("m", {"m.blob": DATA}), quiet)
    await catalog.ensure(shop.put("n", {"n.blob": b"n"}), quiet)
    await catalog.close()
    (tmp_path / "models" / "catalog.db").unlink()
    Path((tmp_path / "models").glob("hub-n-*").__next__() / "n.blob").write_bytes(b"longer")
    again = ModelCatalog(tmp_path / "models", Resolver([shop]))
    await again.open()
    (found,) = await again.list()
    assert (found.variant, found.path) == (entry.variant, entry.path)
    await again.close()


async def test_garbage_is_told_and_then_deleted(catalog, shop, hub) -> None:
    await catalog.ensure(shop.put("kept", {"m.blob": DATA}), quiet)
    await half_a_model(catalog, shop, hub, DATA[::-1])
    told = await catalog.collect_garbage(dry_run=True)
    assert [one.what for one in told.removed] == ["hub:m"]
    assert told.freed_bytes >= 50_000
    assert len(await catalog.entries()) == 2
    assert (await catalog.collect_garbage(dry_run=False)).removed == told.removed
    assert [entry.variant.name for entry in await catalog.entries()] == ["kept"]
    assert (await catalog.collect_garbage(dry_run=False)).removed == ()
    assert await catalog.find("hub:kept") is not None


async def test_garbage_leaves_folders_that_are_not_rbees(catalog, tmp_path: Path) -> None:
    mine = tmp_path / "models" / "my-finetune"
    mine.mkdir()
    (mine / "weights.gguf").write_bytes(b"mine")
    (mine / RECORD).write_text("{}")
    assert (await catalog.collect_garbage(dry_run=False)).removed == ()
    assert (mine / "weights.gguf").read_bytes() == b"mine"


async def test_a_whole_model_that_is_not_listed_is_entered_and_not_garbage(catalog, shop) -> None:
    entry = await catalog.ensure(shop.put("m", {"m.blob": DATA}), quiet)
    await catalog._store.remove("hub:m")
    assert (await catalog.collect_garbage(dry_run=False)).removed == ()
    assert (await catalog.find("hub:m")).variant == entry.variant


async def test_a_model_whose_files_are_gone_is_told_and_forgotten_but_not_one_in_place(catalog, shop, tmp_path) -> None:
    entry = await catalog.ensure(shop.put("m", {"m.blob": DATA}), quiet)
    Path(entry.path).unlink()
    there = tmp_path / "there.blob"
    there.write_bytes(DATA)
    placed = msgspec.structs.replace(shop.put("p", {"there.blob": DATA}), in_place=str(there))
    await catalog.ensure(placed, quiet)
    there.unlink()
    told = await catalog.collect_garbage(dry_run=False)
    # Its folder and its record are one thing to a person.
    assert {one.what for one in told.removed} == {"hub:m"}
    assert [one.variant.name for one in await catalog.entries()] == ["p"]


async def test_garbage_leaves_what_is_being_fetched(catalog, shop, hub) -> None:
    hub.fault("org/m/m.blob", bytes_per_s=200_000)
    begun = asyncio.Event()
    task = asyncio.create_task(catalog.ensure(shop.put("m", {"m.blob": DATA}), lambda done, _: done and begun.set()))
    await asyncio.wait_for(begun.wait(), 10)
    assert (await catalog.collect_garbage(dry_run=False)).removed == ()
    assert [entry.state for entry in await catalog.entries()] == [ModelState.DOWNLOADING]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_verification_reads_everything_anew(catalog, shop) -> None:
    variant = shop.put("m", {"m.blob": DATA, "n": b"n" * 10, "o": b"o"})
    entry = await catalog.ensure(variant, quiet)
    assert {one.status for one in await catalog.verify(entry)} == {"ok"}
    folder = Path(entry.path).parent
    (folder / "m.blob").write_bytes(DATA[:-1] + b"?")
    (folder / "n").write_bytes(b"short")
    (folder / "o").unlink()
    found = {one.name: (one.status, one.detail) for one in await catalog.verify(entry)}
    assert found["m.blob"] == ("changed", "its checksum is another")
    assert found["n"] == ("changed", "it has 5 bytes instead of 10")
    assert found["o"] == ("missing", None)


async def test_what_is_damaged_is_fetched_anew_and_nothing_else(catalog, shop, hub) -> None:
    variant = shop.put("m", {"m.blob": DATA, "n": b"n" * 1000})
    entry = await catalog.ensure(variant, quiet)
    Path(entry.path).write_bytes(bytes(len(DATA)))
    await catalog.verify(entry)
    assert await catalog.find("hub:m") is None
    (row,) = await catalog.entries()
    assert (row.state, row.error) == (ModelState.FAILED, "damaged: m.blob")
    hub.ledger.clear()
    brought = await catalog.bring(variant, quiet)
    assert Path(brought.entry.path).read_bytes() == DATA
    assert hub.ledger.sent() == len(DATA)


async def test_a_verification_without_fault_changes_nothing(catalog, shop) -> None:
    entry = await catalog.ensure(shop.put("m", {"m.blob": DATA}), quiet)
    seq = catalog.seq
    await catalog.verify(entry)
    assert (await catalog.find("hub:m"), catalog.seq) == (entry, seq)


async def test_another_revision_is_not_joined(catalog, shop, hub) -> None:
    first = shop.put("m", {"m.blob": DATA})
    hub.fault("org/m/m.blob", bytes_per_s=1_000_000)
    begun = asyncio.Event()
    older = asyncio.create_task(catalog.bring(first, lambda done, _total: done and begun.set()))
    await asyncio.wait_for(begun.wait(), 10)
    second = shop.put("m", {"m.blob": DATA[::-1]})
    newer = await catalog.bring(second, quiet)
    assert (await older).entry.variant == first
    assert newer.entry.variant == second
    assert Path(newer.entry.path).read_bytes() == DATA[::-1]


@pytest.mark.parametrize("fault", [ValueError("odd"), StopIteration()], ids=["a fault", "an end of nothing"])
async def test_a_vendors_own_fault_ends_the_fetch_and_is_told(catalog, shop, monkeypatch, fault) -> None:
    def source(_variant, _file) -> None:
        raise fault

    monkeypatch.setattr(shop, "source", source)
    with pytest.raises(RbeeError, match="fault of a program"):
        await asyncio.wait_for(catalog.ensure(shop.put("m", {"m.blob": DATA}), quiet), 10)
    (row,) = await catalog.entries()
    assert row.state is ModelState.FAILED


async def test_a_second_program_is_kept_out_of_the_folder(catalog, shop) -> None:
    other = ModelCatalog(catalog._folder, Resolver([shop]))
    with pytest.raises(ConflictError, match=rf"process {os.getpid()}"):
        await other.open()
    await catalog.close()
    await other.open()
    await other.close()


async def test_a_failed_switch_leaves_the_older_revision(catalog, shop, monkeypatch) -> None:
    entry = await catalog.ensure(shop.put("m", {"m.blob": DATA}), quiet)
    rename = Path.rename

    def stubborn(self: Path, target: Path) -> Path:
        if self.parent.name == PARTS:
            raise PermissionError(13, "Permission denied", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stubborn)
    with pytest.raises(RbeeError, match="Permission denied"):
        await catalog.ensure(shop.put("m", {"m.blob": DATA[::-1]}), quiet)
    assert Path(entry.path).read_bytes() == DATA


async def test_a_third_fetch_waits_for_its_turn_and_says_so(catalog, shop, hub) -> None:
    hub.fault("*/m.blob", bytes_per_s=1_000_000, times=2)
    for name in ("a", "b", "c"):
        shop.put(name, {"m.blob": os.urandom(200_000)})
    said: list[str] = []
    tasks = [asyncio.create_task(catalog.ensure(shop.variants[name], quiet)) for name in ("a", "b")]
    while len(hub.ledger.requests("*/m.blob")) < 2:
        await asyncio.sleep(0.01)
    third = asyncio.create_task(catalog.bring(shop.variants["c"], quiet, said.append))
    while not said:
        await asyncio.sleep(0.01)
    assert not catalog.fetch_of("hub:c").at_source
    await asyncio.gather(*tasks, third)
    assert said == ["Other models are being fetched; c waits for its turn"]


async def test_a_pickle_is_refused_by_its_content_whatever_its_name(catalog, shop) -> None:
    with pytest.raises(ModelFileError, match="pickle"):
        await catalog.ensure(shop.put("m", {"model.gguf": pickle.dumps({"a": list(range(100))})}), quiet)
    assert await catalog.list() == []


async def test_a_file_that_takes_the_records_name_is_refused(catalog, shop) -> None:
    variant = shop.put("m", {"m.blob": DATA})
    evil = msgspec.structs.replace(variant, files=(*variant.files, ModelFile(name=RECORD)))
    with pytest.raises(ModelFileError, match="refused"):
        await catalog.ensure(evil, quiet)


async def test_closing_cancels_a_fetch_that_waits_for_the_network(catalog, shop, hub) -> None:
    hub.fault("org/m/m.blob", hang=True)
    task = asyncio.create_task(catalog.ensure(shop.put("m", {"m.blob": DATA}), quiet))
    while not hub.ledger.requests("org/m/*"):
        await asyncio.sleep(0.01)
    async with asyncio.timeout(3):
        await catalog.close()
    (failed,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(failed, CancelledByCallerError)
