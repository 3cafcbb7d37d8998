"""The catalogue of engines, with its provisioner inside: what can be had, and how it gets here and off again."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from rbee.catalog.cancel import Cancel
from rbee.catalog.fetching import in_loop
from rbee.catalog.threads import FetchThreads
from rbee.contract.errors import ConflictError, InvalidRequestError, NotFoundError, RbeeError
from rbee.contract.vendor import FetchProgress
from rbee.contract.worker_vendor import EngineEnvironment, WorkerOffer, WorkerVendor

log = logging.getLogger(__name__)

T = TypeVar("T")

_LEAVE_S = 10.0
"""How long a vendor gets to notice that it was cancelled before nobody waits for it any more."""


_TELL_S = 20.0
"""How long a vendor may take to say which environments it has; a hive that starts waits for it."""


class WorkerListing(msgspec.Struct, frozen=True, kw_only=True):
    """What all vendors have.

    Attributes:
        workers: by name.
        failed: why a vendor could not tell, by its name.
    """

    workers: tuple[WorkerOffer, ...]
    failed: dict[str, str]


class WorkerCatalog:
    """Engines of one machine, from all worker vendors.

    Args:
        vendors: in the order of registration.
        folder: told to each, for what it installs; None for vendors that know theirs.
    """

    def __init__(self, vendors: Sequence[WorkerVendor], folder: Path | None = None) -> None:
        self._vendors = {vendor.name: vendor for vendor in vendors}
        if folder is not None:
            for vendor in vendors:
                vendor.keep_in(folder)
        self._threads = FetchThreads()
        # Installers change what is there for all: two at the same time would see each other's half-done work.
        self._changing = asyncio.Lock()

    async def list(self, *, installed: bool = False) -> WorkerListing:
        """What there is, by name; `installed` leaves out what is not here."""
        found: list[WorkerOffer] = []
        failed: dict[str, str] = {}
        for name, vendor in self._vendors.items():
            try:
                found.extend(await self._threads.run(vendor.catalog, f"catalog of {name}"))
            except Exception as error:
                log.exception("worker vendor %r could not list its workers", name)
                failed[name] = error.message if isinstance(error, RbeeError) else f"{type(error).__name__}: {error}"
        wanted = (offer for offer in found if offer.installed or not installed)
        return WorkerListing(workers=tuple(sorted(wanted, key=lambda one: (one.worker, one.vendor))), failed=failed)

    async def get(self, worker: str, vendor: str | None = None, *, installed: bool = False) -> WorkerOffer:
        """One engine.

        Args:
            worker: its name.
            vendor: whose; None where only one has it.
            installed: one that is not here is not found.

        Raises:
            NotFoundError: nobody has it; the message lists what there is.
            InvalidRequestError: several vendors have it and none is named.
        """
        listing = await self.list(installed=installed)
        fitting = [one for one in listing.workers if one.worker == worker and vendor in {None, one.vendor}]
        if not fitting:
            names = ", ".join(dict.fromkeys(one.worker for one in listing.workers)) or "none"
            where = "installed here" if installed else "to be had here"
            by = f" from {vendor!r}" if vendor else ""
            why = "".join(f" Vendor {name!r} did not tell: {told}." for name, told in listing.failed.items())
            raise NotFoundError(f"No worker {worker!r} is {where}{by}. There are: {names}.{why}")
        if len(fitting) > 1:
            vendors = ", ".join(one.vendor for one in fitting)
            raise InvalidRequestError(
                f"Several vendors have the worker {worker!r}: {vendors}. Name one with 'vendor'.", param="vendor"
            )
        return fitting[0]

    async def environments(self) -> Sequence[EngineEnvironment]:
        """Every environment in which vendors have put engines; a vendor that cannot tell hides no other."""
        found: list[EngineEnvironment] = []
        for name, vendor in self._vendors.items():
            try:
                async with asyncio.timeout(_TELL_S):
                    found.extend(await self._threads.run(vendor.environments, f"environments of {name}"))
            except Exception:
                log.exception("worker vendor %r could not tell its environments", name)
        return found

    async def install(
        self,
        worker: str,
        vendor: str | None,
        say: Callable[[str], None],
        progress: FetchProgress,
        package: str | None = None,
    ) -> WorkerOffer:
        """Put an engine on this machine; harmless when it is there.  Cancelled, the vendor is told to stop.

        Args:
            worker: its name.
            vendor: whose; None where only one has it.
            say: takes lines for whoever watches.
            progress: told bytes.
            package: what brings it, for one that no vendor lists.

        Returns:
            The engine as the vendor lists it now.

        Raises:
            NotFoundError, InvalidRequestError: as `get` does.
            ConflictError: it is here already, by another package.
            RbeeError: as the vendor raises, or that it did not bring what it promised.
        """
        async with self._changing:
            offer = await (self.get(worker, vendor) if package is None else self._by_package(worker, vendor, package))
            if offer.installed:
                return offer
            cancel, told, moved = Cancel(), in_loop(say), in_loop(progress)
            by = self._vendors[offer.vendor]
            await self._run(lambda: by.install(offer, told, moved, cancel), cancel, f"install {worker}")
            after = await self.get(worker, offer.vendor)
            if not after.installed:
                raise NotFoundError(
                    f"Vendor {offer.vendor!r} installed {worker!r}, and it is not found afterwards. "
                    "Its plugin may have failed to load, or RBEE_PLUGINS leaves it out; `rbee plugins` tells."
                )
            return after

    async def remove(
        self,
        worker: str,
        vendor: str | None,
        in_use: Callable[[frozenset[str]], Sequence[str]],
        say: Callable[[str], None],
    ) -> WorkerOffer:
        """Take an engine off this machine; returns what was removed.

        Args:
            worker: its name.
            vendor: whose; None where only one has it.
            in_use: ids of the workers that run one of some engines, asked at the last moment.
            say: takes lines for whoever watches.

        Raises:
            NotFoundError: it is not here.
            ConflictError: a worker runs it.
            RbeeError: as the vendor raises.
        """
        async with self._changing:
            offer = await self.get(worker, vendor, installed=True)
            # What lies in the same environment goes with it.
            going = [names for one in await self.environments() if worker in (names := {e.name for e in one.engines})]
            if workers := sorted(in_use(frozenset({worker}).union(*going))):
                raise ConflictError(
                    f"The engine {worker!r} is run by {', '.join(workers)}. Stop what runs it first "
                    f"(`rbee worker stop {workers[0]}`), then remove it.",
                    details={"workers": workers},
                )
            cancel, told = Cancel(), in_loop(say)
            by = self._vendors[offer.vendor]
            await self._run(lambda: by.remove(offer, told, cancel), cancel, f"remove {worker}")
            return offer

    async def _by_package(self, worker: str, vendor: str | None, package: str) -> WorkerOffer:
        """The engine that a package brings, as it is here or as it can be installed."""
        takers = []
        for name, one in self._vendors.items():
            if vendor in {None, name}:
                offer = await self._threads.run(functools.partial(one.offer, worker, package), f"offer of {name}")
                takers += [offer] if offer is not None else []
        if len(takers) != 1:
            names = ", ".join(one.vendor for one in takers)
            raise InvalidRequestError(
                f"Several vendors take the package {package!r}: {names}. Name one with 'vendor'."
                if takers
                else f"No worker vendor{f' {vendor!r}' if vendor else ''} takes packages by name; leave 'package' out.",
                param="vendor" if takers else "package",
            )
        (offer,) = takers
        for present in (await self.list(installed=True)).workers:
            if (present.worker, present.vendor) != (worker, offer.vendor):
                continue
            if present.package == offer.package:
                return present
            by = f" by {present.package!r}" if present.package else ""
            raise ConflictError(
                f"The worker {worker!r} is installed already{by}; remove it first: rbee worker remove {worker}"
            )
        return offer

    async def _run(self, work: Callable[[], T], cancel: Cancel, name: str) -> T:
        """Vendor's work in a thread; a caller that is cancelled waits until the vendor has put down its tools."""
        task = asyncio.ensure_future(self._threads.run(work, name))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            cancel.cancel()
            _, left = await asyncio.wait([task], timeout=_LEAVE_S)
            if left:
                log.warning("%s does not end; leaving it behind", name)
                task.cancel()
            elif not task.cancelled():
                task.exception()
            raise
