"""What workers needed of memory, seen and kept."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rbee.contract.types import ModelFile, ModelVariant, WorkerState
from rbee.contract.wire import HeldModel, ProcessStats
from rbee.queen.held import HeldIndex
from rbee.queen.ledger import Ledger
from rbee.queen.needs import Needs
from rbee.scheduler import Estimate
from rbee.telemetry import WorkerEntry

MIB = 2**20


def estimated(_: WorkerEntry) -> Estimate:
    return Estimate(
        weights_bytes=100 * MIB,
        cache_bytes=20 * MIB,
        overhead_bytes=128 * MIB,
        total_bytes=248 * MIB,
        rough=False,
        context_length=1000,
        slots=2,
    )


class Colony:
    """Workers, and a ledger that hears of them."""

    def __init__(self, path: Path, most: int = 10_000) -> None:
        self.workers: dict[str, WorkerEntry] = {}
        self.ledger = Ledger(path, self.workers.get, estimated, most, write_every_s=0.0)

    def serve(self, worker_id: str, model_id: str = "m", hive_id: str = "h", **more: Any) -> None:
        fields: dict[str, Any] = {
            "implementation": "e", "backend": "cpu", "state": WorkerState.READY, "context_length": 1000,
            "slots_total": 2,
        }  # fmt: skip
        self.workers[worker_id] = WorkerEntry(
            worker_id=worker_id, model_id=model_id, hive_id=hive_id, **(fields | more)
        )

    def sample(self, hive_id: str = "h", **peaks: int) -> None:
        samples = [ProcessStats(pid=1, worker_id=name, rss_peak_mb=peak) for name, peak in peaks.items()]
        self.ledger.observe(hive_id, samples)

    def reserve(self, model_id: str = "m", hive_id: str = "h") -> int | None:
        found = self.ledger.learned([model_id], hive_id)
        return found[0].reserve_bytes // MIB if found else None


@pytest.fixture
async def colony(tmp_path: Path) -> AsyncIterator[Colony]:
    made = Colony(tmp_path / "memory.db")
    await made.ledger.open()
    yield made
    await made.ledger.close()


async def test_a_peak_is_learned_once_a_worker_serves_and_as_it_rises(colony: Colony) -> None:
    colony.serve("a", state=WorkerState.LOADING)
    colony.sample(a=900)
    assert colony.reserve() is None
    colony.serve("a")
    colony.sample(a=300)
    assert colony.reserve() == 52
    colony.sample(a=300)
    colony.sample(a=350)
    assert colony.reserve() == 102
    (one,) = colony.ledger.all()
    assert (one.model_id, one.engine, one.backend, one.hive_id) == ("m", "e", "cpu", "h")
    assert (one.peak_bytes, one.estimate_bytes) == (350 * MIB, 248 * MIB)
    assert (one.context_length, one.slots) == (1000, 2)


async def test_less_is_learned_of_a_cache_that_was_in_use_and_from_a_whole_life(colony: Colony) -> None:
    colony.serve("a")
    colony.sample(a=170)
    assert colony.reserve() == -58, "the cache that nobody has used yet is still counted"
    colony.ledger.served("h", "a", 1000)
    colony.ledger.served("h", "a", 10)
    colony.ledger.served("h", "gone", 10)
    colony.sample()
    assert colony.reserve() == -68, "half of the cache was in use"
    colony.serve("b")
    colony.sample(b=300)
    assert colony.reserve() == 52
    colony.sample()
    colony.serve("c")
    colony.sample(c=200)
    assert colony.reserve() == 52
    colony.sample()
    assert colony.reserve() == 52, "a worker that has answered nothing says nothing of what is enough"
    colony.serve("d")
    colony.sample(d=200)
    colony.ledger.served("h", "d", 2000)
    colony.sample()
    assert colony.reserve() == 52 - 25


async def test_another_version_of_the_engine_begins_with_what_is_known_and_learns_anew(colony: Colony) -> None:
    colony.serve("a", version="1.0")
    colony.sample(a=300)
    colony.sample()
    assert (colony.reserve(), colony.ledger.all()[0].engine_version) == (52, "1.0")
    colony.serve("b", version="2.0")
    colony.sample(b=200)
    assert colony.reserve() == 52, "a worker that has just begun does not say that less is enough"
    colony.ledger.served("h", "b", 2000)
    colony.sample()
    assert colony.reserve() == -48, "not a part of the way: 1.0 says nothing of what 2.0 needs"
    assert colony.ledger.all()[0].engine_version == "2.0"
    colony.serve("c", version="2.0")
    colony.sample(c=160)
    colony.ledger.served("h", "c", 2000)
    colony.sample()
    assert colony.reserve() in range(-60, -54), "and from there on by a quarter, as ever"


async def test_more_than_another_version_needed_counts_at_once(colony: Colony) -> None:
    colony.serve("a", version="1.0")
    colony.sample(a=300)
    colony.sample()
    colony.serve("b", version="2.0")
    colony.sample(b=400)
    assert colony.reserve() == 152


async def test_a_worker_that_tells_no_version_changes_nothing_of_it(colony: Colony) -> None:
    colony.serve("a", version="1.0")
    colony.sample(a=300)
    colony.sample()
    colony.serve("b")
    colony.sample(b=200)
    colony.ledger.served("h", "b", 2000)
    colony.sample()
    assert (colony.reserve(), colony.ledger.all()[0].engine_version) == (52 - 25, "1.0")


async def test_what_an_earlier_rbee_has_learned_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE learned (model_id VARCHAR NOT NULL, engine VARCHAR NOT NULL, backend VARCHAR NOT NULL,"
        " hive_id VARCHAR NOT NULL, reserve_bytes BIGINT NOT NULL, basis_bytes BIGINT NOT NULL,"
        " peak_bytes BIGINT NOT NULL, estimate_bytes BIGINT, context_length INTEGER, slots INTEGER,"
        " observed_at DATETIME NOT NULL, PRIMARY KEY (model_id, engine, backend, hive_id));"
        f"INSERT INTO learned VALUES ('m', 'e', 'cpu', 'h', {52 * MIB}, 0, {300 * MIB}, {248 * MIB}, 1000, 2,"
        " '2026-01-01 00:00:00.000000');"
        "CREATE TABLE memory_version (version_num VARCHAR(32) NOT NULL);"
        "INSERT INTO memory_version VALUES ('memory0001');"
    )
    connection.close()
    colony = Colony(path)
    await colony.ledger.open()
    assert (colony.reserve(), colony.ledger.all()[0].engine_version) == (52, None)
    colony.serve("b", version="2.0")
    colony.sample(b=310)
    colony.sample()
    await colony.ledger.close()
    again = Colony(path)
    await again.ledger.open()
    assert (again.reserve(), again.ledger.all()[0].engine_version) == (62, "2.0")
    await again.ledger.close()


async def test_another_process_under_an_id_is_another_life(colony: Colony) -> None:
    colony.serve("a")
    colony.sample(a=300)
    colony.ledger.observe("h", [ProcessStats(pid=2, worker_id="a", rss_peak_mb=280)])
    assert colony.ledger.all()[0].peak_bytes == 280 * MIB
    assert colony.reserve() == 52


@pytest.mark.parametrize(
    "more",
    [{"backend": None}, {"implementation": None}, {"hive_id": "other"}, {"state": WorkerState.FAILED}],
)
async def test_of_whom_too_little_is_known_nothing_is_learned(colony: Colony, more: dict[str, Any]) -> None:
    colony.serve("a", **more)
    colony.sample(a=300)
    colony.sample(unheard=300)
    assert colony.ledger.all() == []


async def test_who_computes_elsewhere_teaches_nothing(colony: Colony) -> None:
    colony.serve("a")
    colony.ledger.observe("h", [ProcessStats(pid=1, worker_id="a", rss_peak_mb=300, threads=0)])
    assert colony.ledger.all() == []


async def test_a_machine_without_its_own_experience_has_that_of_the_one_that_needed_most(colony: Colony) -> None:
    for hive_id, worker_id, peak in (("h", "a", 300), ("i", "b", 400), ("j", "c", 350)):
        colony.serve(worker_id, hive_id=hive_id)
        colony.sample(hive_id, **{worker_id: peak})
    assert [colony.reserve(hive_id=name) for name in ("h", "i", "j", "new")] == [52, 152, 102, 152]
    assert colony.reserve("other") is None


async def test_what_was_learned_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    first = Colony(path)
    await first.ledger.open()
    assert not path.exists(), "nothing is made for nothing"
    writing = asyncio.create_task(first.ledger.run())
    first.serve("a")
    first.sample(a=300)
    while not path.exists():
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    first.sample(a=320)
    await first.ledger.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    second = Colony(path)
    await second.ledger.open()
    assert second.ledger.all() == first.ledger.all()
    assert second.reserve() == 72
    await second.ledger.close()


async def test_the_oldest_are_forgotten_in_the_file_too(tmp_path: Path) -> None:
    colony = Colony(tmp_path / "memory.db", most=2)
    await colony.ledger.open()
    for model_id in ("m", "n", "o"):
        colony.serve(model_id, model_id)
        colony.sample(**{model_id: 300})
    assert [colony.reserve(model_id) for model_id in ("m", "n", "o")] == [None, 52, 52]
    await colony.ledger.close()
    again = Colony(tmp_path / "memory.db")
    await again.ledger.open()
    assert {one.model_id for one in again.ledger.all()} == {"n", "o"}
    await again.ledger.close()


async def test_a_hive_that_is_gone_is_no_longer_looked_after_and_what_it_taught_stays(colony: Colony) -> None:
    colony.serve("a")
    colony.sample(a=170)
    colony.ledger.served("h", "a", 2000)
    colony.ledger.forget_hives(lambda _: True)
    assert colony.reserve() == -58
    colony.ledger.forget_hives(lambda _: False)
    assert colony.reserve() == -78
    colony.ledger.served("h", "a", 9000)


async def test_a_damaged_file_is_set_aside_with_what_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "memory.db"
    path.write_bytes(b"no data base at all, and long enough to be taken for one" * 20)
    ledger = Ledger(path, lambda _: None, estimated)
    await ledger.open()
    assert ledger.all() == []
    assert "Memory is then estimated by figures alone" in caplog.text
    await ledger.close()


def test_a_worker_is_estimated_with_its_own_context_by_what_lies_on_a_disk() -> None:
    held = HeldIndex()
    variant = ModelVariant(
        model_id="m", name="m", vendor="v", format="gguf", files=(ModelFile(name="f", size_bytes=100),)
    )
    needs = Needs(held)
    entry = WorkerEntry(worker_id="a", model_id="m", hive_id="h", context_length=512, slots_total=3)
    assert needs.of(entry) is None
    held.put("other", [HeldModel(variant=variant, key="k")])
    found = needs.of(entry)
    assert found is not None
    assert (found.weights_bytes, found.context_length, found.slots) == (100, 512, 3)
    assert needs.of(WorkerEntry(worker_id="a")) is None
