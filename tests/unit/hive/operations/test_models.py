"""Models of a hive: listed, deleted, loaded and unloaded, over the real catalogue."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from rbee.contract.errors import (
    CancelledByCallerError,
    ConflictError,
    ModelNotFoundError,
    NoPlacementError,
    NotFoundError,
    UnreachableError,
)

FILES = {"m.blob": b"abc"}


async def test_a_download_says_whether_anything_had_to_be_fetched(hive: Any, shelf: Any) -> None:
    shelf.put("m", FILES)
    first = await hive.do("model_download", model="m")
    assert (first.model_id, first.size_bytes, first.already) == ("shelf:m", 3, False)
    assert (await hive.do("model_download", model="m")).already
    assert shelf.fetches == 1


async def test_a_list_tells_size_place_age_and_users(hive: Any, shelf: Any, tmp_path: Path) -> None:
    shelf.put("m", FILES)
    await hive.do("model_download", model="m")
    hive.children.put("w1", "shelf:m")
    (model,) = (await hive.do("model_list")).models
    assert (model.name, model.vendor, model.format, model.size_bytes) == ("m", "shelf", "blob", 3)
    assert (model.state, model.in_place, model.workers) == ("available", False, ("w1",))
    assert Path(model.path).read_bytes() == b"abc"
    assert model.added_at is not None
    assert await hive.do("model_get", model="m") == await hive.do("model_get", model="shelf:m") == model


async def test_a_model_whose_files_have_gone_is_missing(hive: Any, shelf: Any) -> None:
    shelf.put("m", FILES)
    Path((await hive.do("model_download", model="m")).path).unlink()
    assert (await hive.do("model_get", model="m")).state == "missing"


async def test_a_model_that_is_not_here_is_not_found(hive: Any, shelf: Any) -> None:
    shelf.put("m", FILES)
    for operation in ("model_get", "model_delete", "model_unload"):
        with pytest.raises(NotFoundError):
            await hive.do(operation, model="m")
    with pytest.raises(ModelNotFoundError):
        await hive.do("model_get", model="n")


async def test_deleting_frees_the_disk(hive: Any, shelf: Any) -> None:
    shelf.put("m", FILES)
    path = Path((await hive.do("model_download", model="m")).path)
    gone = await hive.do("model_delete", model="m")
    assert (gone.deleted, gone.freed_bytes, gone.stopped) == (True, 3, ())
    assert not path.parent.exists()
    again = await hive.do("model_delete", model="m", missing_ok=True)
    assert (again.deleted, again.freed_bytes) == (False, 0)


async def test_a_model_of_a_vendor_that_is_gone_can_be_deleted_by_its_name(hive: Any, shelf: Any) -> None:
    shelf.put("m", FILES)
    await hive.do("model_download", model="m")
    shelf.variants.clear()
    assert (await hive.do("model_delete", model="m")).model_id == "shelf:m"


async def test_files_in_place_are_never_deleted(hive: Any, shelf: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.blob"
    file.write_bytes(b"mine")
    shelf.put("m", {}, in_place=str(file))
    await hive.do("model_download", model="m")
    assert (await hive.do("model_get", model="m")).in_place
    assert (await hive.do("model_delete", model="m")).freed_bytes == 0
    assert file.read_bytes() == b"mine"


async def test_a_model_in_use_is_deleted_by_force_alone(hive: Any, shelf: Any) -> None:
    shelf.put("m", FILES)
    await hive.do("model_download", model="m")
    hive.children.put("w1", "shelf:m")
    with pytest.raises(ConflictError, match=r"in use by w1\. Unload it first") as caught:
        await hive.do("model_delete", model="m")
    assert caught.value.details == {"workers": ["w1"]}
    assert (await hive.do("model_delete", model="m", force=True)).stopped == ("w1",)
    assert hive.children.stopped == [("w1", False)]


async def test_a_model_that_is_being_fetched_is_deleted_by_force_alone(hive: Any, shelf: Any) -> None:
    shelf.put("m", FILES)
    shelf.gate.clear()
    fetch = asyncio.create_task(hive.do("model_download", model="m"))
    assert await asyncio.to_thread(shelf.started.wait, 10)
    assert (await hive.do("model_get", model="m")).state == "downloading"
    with pytest.raises(ConflictError, match="is being fetched"):
        await hive.do("model_delete", model="m")
    assert not fetch.done()
    assert (await hive.do("model_delete", model="m", force=True)).deleted
    with pytest.raises(CancelledByCallerError):
        await fetch
    assert (await hive.do("model_list")).models == ()


async def test_loading_starts_one_worker_and_is_content_with_it(hive: Any, shelf: Any) -> None:
    shelf.put("m", FILES)
    first, second = await asyncio.gather(hive.do("model_load", model="m"), hive.do("model_load", model="shelf:m"))
    assert hive.children.started == [("mill", "shelf:m")]
    assert first.worker_id == second.worker_id
    assert [first.already, second.already] == [False, True]


async def test_a_hive_that_begins_to_drain_while_it_fetches_starts_nothing(
    hive: Any, shelf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put("m", FILES)
    fetch = shelf.fetch

    def fetched_meanwhile(*args: Any, **fields: Any) -> Any:
        hive.draining.active = True
        return fetch(*args, **fields)

    monkeypatch.setattr(shelf, "fetch", fetched_meanwhile)
    with pytest.raises(NoPlacementError, match="rbee hive drain h --undo"):
        await hive.do("model_load", model="m")
    assert (shelf.fetches, hive.children.started) == (1, [])


async def test_a_worker_on_another_device_is_not_enough(hive: Any, shelf: Any) -> None:
    shelf.put("m", FILES)
    hive.children.put("w1", "shelf:m")  # its command line cannot be read
    assert (await hive.do("model_load", model="m")).worker_id == "w1"
    assert (await hive.do("model_load", model="m", device="CPU-0")).worker_id == "worker-new"


async def test_a_start_that_somebody_else_gives_up_is_taken_over(hive: Any, shelf: Any) -> None:
    shelf.put("m", FILES)
    hive.children.put("w1", "shelf:m")
    ensure = hive.children.ensure_ready

    async def given_up(engine: str, spec: Any, worker_id: str | None, on_stage: Any) -> Any:
        if worker_id == "w1":
            hive.children.all.pop("w1")
            raise CancelledByCallerError("given up")
        return await ensure(engine, spec, worker_id, on_stage)

    hive.children.ensure_ready = given_up
    loaded = await hive.do("model_load", model="m")
    assert (loaded.worker_id, loaded.already) == ("worker-new", False)


async def test_unloading_stops_every_worker_of_the_model(hive: Any, shelf: Any) -> None:
    shelf.put("m", FILES)
    for worker_id, model_id in (("w1", "shelf:m"), ("w2", "shelf:m"), ("w3", "shelf:n")):
        hive.children.put(worker_id, model_id)
    assert (await hive.do("model_unload", model="m", force=True)).stopped == ("w1", "w2")
    assert sorted(hive.children.stopped) == [("w1", True), ("w2", True)]
    with pytest.raises(NotFoundError, match="No worker of hive 'h'"):
        await hive.do("model_unload", model="m")
    assert (await hive.do("model_unload", model="m", missing_ok=True)).stopped == ()


async def test_what_is_here_is_enough_where_its_source_does_not_answer(hive: Any, shelf: Any, monkeypatch) -> None:
    shelf.put("m", FILES)
    await hive.do("model_download", model="m")

    def resolve(ref: str) -> None:
        raise UnreachableError("the hub is away")

    monkeypatch.setattr(shelf, "resolve", resolve)
    assert (await hive.do("model_download", model="m")).already
    assert hive.said[-1] == "m is here; whether there is a newer revision is not known: the hub is away"
    with pytest.raises(UnreachableError):
        await hive.do("model_download", model="n")
