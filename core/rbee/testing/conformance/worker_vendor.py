"""The promises of `rbee.contract.WorkerVendor`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from rbee.contract import WorkerOffer, WorkerVendor
from rbee.contract.errors import CancelledByCallerError, NotFoundError
from rbee.testing.cancel import Cancel
from rbee.testing.conformance.promises import Promises

QUICK_S = 20.0
"""A list is shown to a person who waits; a fresh interpreter may have to be asked for it."""
CANCELLED_S = 10.0
"""The catalogue leaves a vendor behind that has not put down its tools by then."""
PATIENCE_S = 300.0
"""The longest an install of the kit may take."""


class WorkerVendorContract(Promises, kit=True):
    """Subclass it and give the fixtures `vendor` and `worker`."""

    @pytest.fixture
    def vendor(self) -> WorkerVendor:
        """The vendor under test, over a place that is the test's own: engines are really installed there."""
        raise NotImplementedError("give the fixture `vendor`: return YourVendor()")

    @pytest.fixture
    def worker(self) -> str:
        """Name of an engine in the catalogue that is not installed and can be, without network."""
        raise NotImplementedError("give the fixture `worker`: the name of an engine that can be installed")

    @pytest.fixture
    def cleared(self, vendor: WorkerVendor, worker: str) -> Iterator[None]:
        """Takes away afterwards what a test has installed."""
        yield
        offer = _offer(vendor, worker)
        if offer.installed:
            vendor.remove(offer, _silent, Cancel())

    def test_the_vendor_has_a_name_of_its_own(self, vendor: WorkerVendor) -> None:
        """A name is a word that can stand before a colon."""
        name = type(vendor).name
        assert isinstance(name, str)
        assert name
        assert ":" not in name
        assert name == name.strip().lower()

    def test_the_catalog_is_well_formed(self, vendor: WorkerVendor) -> None:
        """Every offer belongs to the vendor, has a name of its own, and says why it cannot be used."""
        offers = vendor.catalog()
        names = [offer.worker for offer in offers]
        assert len(set(names)) == len(names), "an engine is offered once"
        for offer in offers:
            assert isinstance(offer, WorkerOffer)
            assert offer.vendor == type(vendor).name
            assert offer.worker
            assert offer.worker == offer.worker.strip()
            assert not any(char.isspace() or char in ":/\\" for char in offer.worker)
            assert offer.available is not False or offer.reason, "who cannot be used says why"
            assert offer.size_bytes is None or offer.size_bytes >= 0
            assert offer.summary is None or "\n" not in offer.summary

    def test_the_catalog_is_quick_and_stays_the_same(self, vendor: WorkerVendor) -> None:
        """It is asked anew for every list, and asking changes nothing."""
        started = time.monotonic()
        first = vendor.catalog()
        assert time.monotonic() - started < QUICK_S
        assert list(vendor.catalog()) == list(first)

    def test_what_is_installed_is_listed_so_until_it_is_removed(
        self, vendor: WorkerVendor, worker: str, cleared: None
    ) -> None:
        """Another object of the vendor sees the same: the next start of the hive makes one."""
        offer = _offer(vendor, worker)
        assert not offer.installed, "the fixture `worker` names an engine that is not installed"
        seen: list[tuple[int, int | None]] = []
        vendor.install(offer, _silent, lambda done, total: seen.append((done, total)), Cancel())
        assert all(done >= 0 and (total is None or done <= total) for done, total in seen)
        for one in (vendor, type(vendor)()):
            there = _offer(one, worker)
            assert there.installed
            assert there.vendor == offer.vendor
        vendor.remove(_offer(vendor, worker), _silent, Cancel())
        assert not _offer(vendor, worker).installed
        assert not _offer(type(vendor)(), worker).installed

    def test_an_engine_can_be_installed_again_after_it_was_removed(
        self, vendor: WorkerVendor, worker: str, cleared: None
    ) -> None:
        """Removing leaves nothing that would stand in the way."""
        for _ in range(2):
            _install(vendor, worker)
            assert _offer(vendor, worker).installed
            vendor.remove(_offer(vendor, worker), _silent, Cancel())

    def test_installing_what_is_installed_is_harmless(self, vendor: WorkerVendor, worker: str, cleared: None) -> None:
        """Two who want it at the same moment both have it afterwards."""
        offer = _offer(vendor, worker)
        _install(vendor, worker)
        before = _offer(vendor, worker)
        vendor.install(offer, _silent, _unmoved, Cancel())
        assert _offer(vendor, worker) == before

    def test_an_install_that_was_cancelled_before_leaves_nothing(
        self, vendor: WorkerVendor, worker: str, cleared: None
    ) -> None:
        """It raises what the contract names, and the engine is not there."""
        cancel = Cancel()
        cancel.cancel()
        with pytest.raises(CancelledByCallerError):
            vendor.install(_offer(vendor, worker), _silent, _unmoved, cancel)
        assert not _offer(vendor, worker).installed

    def test_an_install_that_is_cancelled_ends_soon_and_leaves_it_whole_or_absent(
        self, vendor: WorkerVendor, worker: str, cleared: None
    ) -> None:
        """Cancelled at its first word, it ends within seconds; the next try succeeds."""
        cancel, begun = Cancel(), threading.Event()
        failed: list[BaseException] = []

        def install() -> None:
            try:
                vendor.install(offer, lambda _line: begun.set(), lambda _done, _total: begun.set(), cancel)
            except BaseException as error:
                failed.append(error)
            finally:
                begun.set()

        offer = _offer(vendor, worker)
        thread = threading.Thread(target=install, daemon=True)
        thread.start()
        assert begun.wait(PATIENCE_S)
        cancel.cancel()
        thread.join(CANCELLED_S)
        assert not thread.is_alive(), f"a cancelled install ends within {CANCELLED_S:g} s"
        assert all(isinstance(error, CancelledByCallerError) for error in failed)
        # One that was quicker than the cancellation is whole; one that was not must not look as if it were.
        assert _offer(vendor, worker).installed is not bool(failed)
        _install(vendor, worker)
        assert _offer(vendor, worker).installed

    def test_removing_what_is_absent_says_so(self, vendor: WorkerVendor, worker: str) -> None:
        """It may have gone by other hands between the list and the choice; nothing else is taken away."""
        before = list(vendor.catalog())
        with pytest.raises(NotFoundError) as caught:
            vendor.remove(_offer(vendor, worker), _silent, Cancel())
        assert worker in caught.value.message, "the message names the engine"
        assert list(vendor.catalog()) == before


def _offer(vendor: WorkerVendor, worker: str) -> WorkerOffer:
    found = [offer for offer in vendor.catalog() if offer.worker == worker]
    assert found, f"the catalogue lists {worker!r}, installed or not"
    return found[0]


def _install(vendor: WorkerVendor, worker: str) -> None:
    vendor.install(_offer(vendor, worker), _silent, _unmoved, Cancel())


def _silent(_line: str) -> None: ...


def _unmoved(_done: int, _total: int | None) -> None: ...
