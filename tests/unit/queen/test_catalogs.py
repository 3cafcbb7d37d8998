"""When a hive is asked for what it has, and when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from rbee.contract import ModelVariant
from rbee.contract.errors import UnreachableError
from rbee.contract.wire import HeldModel, HeldModels, HiveInfo
from rbee.queen.catalogs import HiveCatalogs


class Disk:
    """The hives' side: what they would answer, and how often they were asked."""

    def __init__(self) -> None:
        self.seq = 1
        self.names: tuple[str, ...] = ("a",)
        self.asked: list[str] = []
        self.go = asyncio.Event()
        self.go.set()
        self.trouble: Exception | None = None
        self.called: str | None = None

    async def ask(self, hive_id: str) -> HeldModels:
        self.asked.append(hive_id)
        # As it is when it is asked.
        seq, names = self.seq, self.names
        await self.go.wait()
        if self.trouble is not None:
            raise self.trouble
        models = tuple(
            HeldModel(variant=ModelVariant(model_id=f"v:{name}", name=name, vendor="v", format="gguf"), key=name)
            for name in names
        )
        return HeldModels(hive_id=self.called or hive_id, models_seq=seq, models=models)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def catalogs(disk: Disk, clock: Any) -> AsyncIterator[HiveCatalogs]:
    made = HiveCatalogs(disk.ask, clock)
    yield made
    await made.close()


def beat(seq: int | None, hive_id: str = "h", instance: str = "i") -> HiveInfo:
    return HiveInfo(id=hive_id, hostname="x", port=1, instance_id=instance, models_seq=seq)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def known(catalogs: HiveCatalogs) -> list[str]:
    return sorted(variant.name for variant in catalogs.index.models())


async def test_a_hive_is_asked_once_for_each_change(catalogs, disk) -> None:
    for _ in range(3):
        catalogs.heard(beat(1))
        await settle()
    assert (disk.asked, known(catalogs)) == (["h"], ["a"])
    disk.seq, disk.names = 2, ("a", "b")
    for _ in range(3):
        catalogs.heard(beat(2))
        await settle()
    assert (disk.asked, known(catalogs)) == (["h", "h"], ["a", "b"])


async def test_one_who_has_been_started_anew_is_asked_although_he_counts_as_before(catalogs, disk) -> None:
    catalogs.heard(beat(1))
    await settle()
    disk.names = ()
    catalogs.heard(beat(1, instance="new"))
    await settle()
    assert (disk.asked, known(catalogs)) == (["h", "h"], [])


async def test_one_who_tells_of_no_models_is_not_asked(catalogs, disk) -> None:
    catalogs.heard(beat(None))
    await catalogs.refresh("h")
    assert disk.asked == []


async def test_a_slow_hive_is_asked_once_at_a_time_and_again_for_what_has_changed_meanwhile(catalogs, disk) -> None:
    disk.go.clear()
    for seq in (1, 2, 3):
        catalogs.heard(beat(seq))
        await settle()
    assert disk.asked == ["h"]
    disk.seq, disk.names = 3, ("c",)
    disk.go.set()
    await settle()
    assert known(catalogs) == ["a"]
    catalogs.heard(beat(3))
    await settle()
    assert (disk.asked, known(catalogs)) == (["h", "h"], ["c"])


async def test_one_who_does_not_answer_is_left_alone_longer_and_longer(catalogs, disk, clock) -> None:
    catalogs.heard(beat(1))
    await settle()
    disk.trouble = UnreachableError("gone")
    asked = []
    for second in range(60):
        catalogs.heard(beat(2))
        await settle()
        asked.append(len(disk.asked))
        clock.tick(1)
        assert known(catalogs) == ["a"], f"what was known stays, {second}"
    assert 4 <= asked[-1] <= 8
    disk.trouble = None
    clock.tick(60)
    disk.seq, disk.names = 2, ("b",)
    catalogs.heard(beat(2))
    await settle()
    assert known(catalogs) == ["b"]


async def test_another_hive_at_the_address_is_not_believed(catalogs, disk) -> None:
    disk.called = "other"
    catalogs.heard(beat(1))
    await settle()
    assert known(catalogs) == []


async def test_a_hive_is_forgotten_with_what_it_has(catalogs, disk) -> None:
    for hive_id in ("h", "i"):
        catalogs.heard(beat(1, hive_id))
    await settle()
    disk.go.clear()
    catalogs.heard(beat(2, "h"))
    await settle()
    catalogs.forget(lambda hive_id: hive_id == "i")
    disk.go.set()
    await settle()
    assert (catalogs.index.hives(), sorted(catalogs.index.holders("v:a"))) == (["i"], ["i"])


async def test_who_has_changed_something_can_wait_until_it_is_known(catalogs, disk) -> None:
    disk.go.clear()
    catalogs.heard(beat(1))
    await settle()
    disk.seq, disk.names = 2, ("b",)
    waiting = asyncio.create_task(catalogs.refresh("h"))
    await settle()
    assert disk.asked == ["h"]
    disk.go.set()
    await waiting
    assert (disk.asked, known(catalogs)) == (["h", "h"], ["b"])


async def test_nobody_is_asked_after_the_end(catalogs, disk) -> None:
    disk.go.clear()
    catalogs.heard(beat(1))
    await settle()
    await catalogs.close()
    disk.go.set()
    catalogs.heard(beat(2))
    await catalogs.refresh("h")
    await settle()
    assert (disk.asked, known(catalogs)) == (["h"], [])


async def test_what_nobody_foresaw_is_no_reason_to_ask_with_every_beat(catalogs, disk, clock, caplog) -> None:
    disk.trouble = ValueError("oh")
    for _ in range(5):
        catalogs.heard(beat(1))
        await settle()
    assert disk.asked == ["h"]
    assert "ValueError('oh')" in caplog.text
    disk.trouble = None
    clock.tick(60)
    catalogs.heard(beat(1))
    await settle()
    assert known(catalogs) == ["a"]
