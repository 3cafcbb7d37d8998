"""The catalogue of engines over several vendors."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from rbee.catalog import WorkerCatalog, workers
from rbee.contract import CancelToken, EngineEnvironment, WorkerOffer, WorkerVendor
from rbee.contract.errors import InvalidRequestError, NotFoundError
from rbee.contract.types import EngineInfo


def quiet(*_told: Any) -> None:
    """Nobody watches."""


class Store(WorkerVendor):
    """Has what it is given."""

    name = "store"

    def __init__(self, name: str, *workers: str) -> None:
        self.name = name  # type: ignore[misc]  # several of one class
        self.workers = workers
        self.here: set[str] = set()
        self.working = threading.Event()
        self.left = threading.Event()
        self.most = 0
        self._now = 0

    def catalog(self) -> list[WorkerOffer]:
        return [WorkerOffer(worker=one, vendor=self.name, installed=one in self.here) for one in self.workers]

    def install(self, offer: WorkerOffer, say: Any, progress: Any, cancel: CancelToken) -> None:
        self.here.add(offer.worker)

    def remove(self, offer: WorkerOffer, say: Any, cancel: CancelToken) -> None:
        self.here.discard(offer.worker)


class Slow(Store):
    def install(self, offer: WorkerOffer, say: Any, progress: Any, cancel: CancelToken) -> None:
        self.working.set()
        try:
            while True:
                cancel.raise_if_cancelled()
                self.left.wait(0.005)
        finally:
            self.left.set()


class Broken(Store):
    def catalog(self) -> list[WorkerOffer]:
        raise OSError("the shelf fell down")


class Liar(Store):
    def install(self, offer: WorkerOffer, say: Any, progress: Any, cancel: CancelToken) -> None:
        """Says that it did."""


async def test_all_vendors_are_listed_and_a_broken_one_is_named() -> None:
    listing = await WorkerCatalog([Store("b", "y", "x"), Broken("bad"), Store("a", "x")]).list()
    assert [(one.worker, one.vendor) for one in listing.workers] == [("x", "a"), ("x", "b"), ("y", "b")]
    assert listing.failed == {"bad": "OSError: the shelf fell down"}


async def test_what_several_have_needs_a_vendor() -> None:
    catalog = WorkerCatalog([Store("b", "x"), Store("a", "x")])
    with pytest.raises(InvalidRequestError, match="a, b") as caught:
        await catalog.install("x", None, quiet, quiet)
    assert caught.value.param == "vendor"
    assert (await catalog.install("x", "b", quiet, quiet)).vendor == "b"
    assert (await catalog.get("x", installed=True)).vendor == "b"


async def test_what_nobody_has_lists_what_there_is() -> None:
    with pytest.raises(NotFoundError, match=r"There are: x\. Vendor 'bad' did not tell: OSError"):
        await WorkerCatalog([Store("a", "x"), Broken("bad")]).get("z")


async def test_cancelling_reaches_the_vendor_before_the_caller_goes_on() -> None:
    slow = Slow("slow", "x")
    work = asyncio.create_task(WorkerCatalog([slow]).install("x", None, quiet, quiet))
    assert await asyncio.to_thread(slow.working.wait, 10)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert slow.left.is_set()


async def test_a_vendor_that_brings_nothing_is_found_out() -> None:
    with pytest.raises(NotFoundError, match="is not found afterwards"):
        await WorkerCatalog([Liar("liar", "x")]).install("x", None, quiet, quiet)


class Parcels(Store):
    """Takes packages by name, and keeps each in an environment."""

    folder: Path | None = None

    def keep_in(self, folder: Path) -> None:
        self.folder = folder

    def offer(self, worker: str, package: str) -> WorkerOffer:
        return WorkerOffer(worker=worker, vendor=self.name, installed=False, package=package)

    def install(self, offer: WorkerOffer, say: Any, progress: Any, cancel: CancelToken) -> None:
        self.workers = (*self.workers, offer.worker)
        self.here.add(offer.worker)

    def environments(self) -> list[EngineEnvironment]:
        facts = {"version": "1", "formats": (), "backends": (), "capabilities": (), "available": True}
        return [
            EngineEnvironment(python=f"/{one}/python", engines=(EngineInfo(name=one, **facts),)) for one in self.here
        ]


class Lost(Store):
    def environments(self) -> list[EngineEnvironment]:
        raise OSError("the map is torn")


async def test_vendors_are_told_the_folder_for_engines(tmp_path: Path) -> None:
    parcels = Parcels("parcels")
    WorkerCatalog([parcels, Store("store")], tmp_path)
    assert parcels.folder == tmp_path


async def test_a_package_goes_to_the_vendor_that_takes_packages() -> None:
    catalog = WorkerCatalog([Store("store", "x"), Parcels("parcels")])
    assert (await catalog.install("y", None, quiet, quiet, "rbee-y")).vendor == "parcels"
    with pytest.raises(InvalidRequestError, match="No worker vendor 'store' takes packages by name") as caught:
        await catalog.install("y", "store", quiet, quiet, "rbee-y")
    assert caught.value.param == "package"
    with pytest.raises(InvalidRequestError, match="parcels, others") as caught:
        await WorkerCatalog([Parcels("parcels"), Parcels("others")]).install("y", None, quiet, quiet, "rbee-y")
    assert caught.value.param == "vendor"


async def test_a_vendor_that_cannot_tell_its_environments_hides_no_other() -> None:
    catalog = WorkerCatalog([Lost("lost"), Parcels("parcels")])
    await catalog.install("y", None, quiet, quiet, "rbee-y")
    assert [one.python for one in await catalog.environments()] == ["/y/python"]


class Late(Store):
    """Notices nothing, and talks when the program has ended."""

    def __init__(self, name: str, *workers: str) -> None:
        super().__init__(name, *workers)
        self.ended = threading.Event()
        self.failed: Exception | None = None

    def install(self, offer: WorkerOffer, say: Any, progress: Any, cancel: CancelToken) -> None:
        self._talk(lambda: (say("late"), progress(1, 2)))

    def remove(self, offer: WorkerOffer, say: Any, cancel: CancelToken) -> None:
        self._talk(lambda: say("late"))

    def _talk(self, talk: Any) -> None:
        self.working.set()
        self.ended.wait(10)
        try:
            talk()
        except Exception as error:
            self.failed = error
        self.left.set()


@pytest.mark.parametrize("removing", [False, True])
def test_a_vendor_that_goes_on_after_the_end_of_the_program_talks_to_nobody(removing: bool, monkeypatch) -> None:
    monkeypatch.setattr(workers, "_LEAVE_S", 0.05)
    vendor = Late("a", "x")

    async def life() -> None:
        catalog = WorkerCatalog([vendor])
        if removing:
            vendor.here.add("x")
            work = asyncio.create_task(catalog.remove("x", None, lambda _: (), quiet))
        else:
            work = asyncio.create_task(catalog.install("x", None, quiet, quiet))
        assert await asyncio.to_thread(vendor.working.wait, 10)
        work.cancel()
        await asyncio.wait([work])

    asyncio.run(life())
    vendor.ended.set()
    assert vendor.left.wait(10)
    assert vendor.failed is None
