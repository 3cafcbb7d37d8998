"""The catalogue of engines over several vendors."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from rbee.catalog import WorkerCatalog
from rbee.contract import CancelToken, WorkerOffer, WorkerVendor
from rbee.contract.errors import InvalidRequestError, NotFoundError


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
