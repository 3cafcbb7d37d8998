"""Which worker answers without a queen, and the list that is kept for when the registry is away."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from rbee.cli.known import KnownFile
from rbee.cli.queenless import Candidate, _nobody, best_first, suitable
from rbee.contract.errors import ModelNotFoundError, NotFoundError
from rbee.contract.wire import Component, WorkerBeat
from rbee.settings import Folders


def component(worker_id: str, kind: Any = "worker", **metadata: Any) -> Component:
    return Component(component_type=kind, component_id=worker_id, url=f"http://{worker_id}:1", metadata=metadata)


def candidate(worker_id: str, free: int | None = 1, status: str = "ready", model: str = "m", **told: Any) -> Candidate:
    beat = WorkerBeat(
        id=worker_id, model_id=f"x:{model}", model_name=model, device=told.pop("device", "CPU-0"), port=1, status=status,
        implementation="e", version=None, slots_available=free, **told,
    )  # fmt: skip
    return Candidate(worker_id=worker_id, url="http://x", told=beat)


def ids(found: Any) -> list[str]:
    return [getattr(one, "worker_id", None) or one.component_id for one in found]


def test_workers_are_found_by_short_and_canonical_name() -> None:
    workers = [component("a", model="x:m", model_name="m"), component("b", model="x:n", model_name="n")]
    assert ids(suitable(workers, {"model": "m"})) == ["a"]
    assert ids(suitable(workers, {"model": "x:n"})) == ["b"]
    assert ids(suitable(workers, {"model": "o"})) == []


def test_a_path_is_a_canonical_name_as_well() -> None:
    assert ids(suitable([component("a", model="file:/m.gguf", model_name="m")], {"model": "/m.gguf"})) == ["a"]


def test_who_has_not_told_its_model_is_asked_and_others_are_not_workers() -> None:
    found = suitable([component("silent"), component("h", kind="hive"), component("odd", model=7)], {"model": "m"})
    assert ids(found) == ["silent", "odd"]


def test_a_worker_or_hive_that_is_named_leaves_out_the_others() -> None:
    workers = [component("a", hive_id="h"), component("b", hive_id="i"), component("c")]
    assert ids(suitable(workers, {"model": "m", "worker_id": "b"})) == ["b"]
    assert ids(suitable(workers, {"model": "m", "hive_id": "h"})) == ["a", "c"]


def test_the_most_free_slots_come_first_then_the_shorter_queue_then_the_name() -> None:
    found = [
        candidate("d", None),
        candidate("c", 2),
        candidate("b", 2, queue_depth=1),
        candidate("a", 5),
        candidate("bb", 2),
    ]
    assert ids(best_first(found, {"model": "m"})) == ["a", "bb", "c", "b", "d"]


@pytest.mark.parametrize("status", ["loading", "draining", "stopping", "failed", "what?"])
def test_who_does_not_serve_is_left_out(status: str) -> None:
    assert best_first([candidate("a", status=status)], {"model": "m"}) == []


def test_its_own_word_counts_for_model_hive_and_device() -> None:
    found = [candidate("a", hive_id="h"), candidate("b", model="n"), candidate("c", device="GPU-0")]
    assert ids(best_first(found, {"model": "m"})) == ["a", "c"]
    assert ids(best_first(found, {"model": "m", "hive_id": "h"})) == ["a"]
    assert ids(best_first(found, {"model": "m", "device": "GPU-0"})) == ["c"]


@pytest.fixture
def file(tmp_path: Path) -> KnownFile:
    folders = Folders.locate({"RBEE_HOME": str(tmp_path)})
    folders.make()
    return KnownFile(folders)


def test_the_list_is_kept_for_this_user_alone(file: KnownFile) -> None:
    file.save("http://r:1", [component("a", model="m")])
    known = file.load()
    assert known is not None
    assert ids(known.components) == ["a"]
    assert known.registry_url == "http://r:1"
    assert 0 <= known.age_s < 60
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [path.name for path in file.path.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]", b'{"saved_at": "x"}'])
def test_a_list_that_cannot_be_read_is_none(file: KnownFile, content: bytes) -> None:
    assert file.load() is None
    file.path.write_bytes(content)
    assert file.load() is None


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    file = KnownFile(Folders.locate({"RBEE_HOME": str(tmp_path / "home")}))
    file.save("http://r:1", [])
    assert file.load() is None


def test_a_hive_that_nobody_knows_is_told_with_those_there_are() -> None:
    known = [component("h1", kind="hive"), component("w", model="x:m", model_name="m", hive_id="h2")]
    with pytest.raises(NotFoundError, match=r"knows no hive 'nix'\. Known are: h1, h2\."):
        raise _nobody(known, {"model": "m", "hive_id": "nix"})
    with pytest.raises(ModelNotFoundError, match="Workers serve: m"):
        raise _nobody(known, {"model": "o", "hive_id": "h1"})
