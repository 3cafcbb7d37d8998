"""Engines of a hive, from vendors made of memory."""

from __future__ import annotations

from typing import Any

import pytest
from rbee.contract import WorkerOffer, WorkerVendor
from rbee.contract.errors import ConflictError, NotFoundError


class Mills(WorkerVendor):
    name = "mills"

    def __init__(self) -> None:
        self.here = False

    def catalog(self) -> tuple[WorkerOffer, ...]:
        return (WorkerOffer(worker="mill", vendor=self.name, installed=self.here, available=self.here or None),)

    def install(self, offer: WorkerOffer, say: Any, progress: Any, cancel: Any) -> None:
        say("grinding")
        progress(1, 2)
        self.here = True

    def remove(self, offer: WorkerOffer, say: Any, cancel: Any) -> None:
        self.here = False


@pytest.fixture
def vendors() -> list[Any]:
    return [Mills()]


async def test_an_engine_comes_and_goes_and_the_hive_looks_each_time(hive: Any) -> None:
    assert (await hive.do("worker_list_installed")).workers == ()
    offer = await hive.do("worker_install", worker="mill")
    assert (offer.installed, hive.looked) == (True, 1)
    assert hive.said == ["Installing mill", "grinding", "mill is installed and can be used"]
    assert [event.done for event in hive.events if event.type == "progress"] == [1]
    assert await hive.do("worker_installed_get", worker="mill") == offer
    assert (await hive.do("worker_remove", worker="mill")).worker == "mill"
    assert hive.looked == 2
    with pytest.raises(NotFoundError, match="No worker 'mill' is installed here"):
        await hive.do("worker_installed_get", worker="mill")
    assert not (await hive.do("worker_catalog_get", worker="mill")).installed


async def test_an_engine_that_may_be_in_use_is_not_removed(hive: Any) -> None:
    await hive.do("worker_install", worker="mill")
    hive.children.put("w1", "shelf:m")  # which engine it runs cannot be read
    with pytest.raises(ConflictError, match="run by w1") as caught:
        await hive.do("worker_remove", worker="mill")
    assert caught.value.details == {"workers": ["w1"]}
