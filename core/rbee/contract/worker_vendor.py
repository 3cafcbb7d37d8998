"""What a vendor of engines writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import msgspec

from rbee.contract.vendor import CancelToken, FetchProgress


class WorkerOffer(msgspec.Struct, frozen=True, kw_only=True):
    """An engine that a worker vendor has, installed or to be had.

    Attributes:
        worker: the engine's name, as ``worker_spawn`` takes it.
        vendor: name of the worker vendor.
        installed: it is on this machine.
        available: workers can be started with it here and now; None when that shows only once it is installed.
        reason: why it is not available, with the remedy.
        version: of the inference library; None when unknown.
        formats: model formats it opens, as far as they are known.
        backends: how it drives devices, likewise.
        summary: one line for a person.
        size_bytes: what is to be fetched; None when unknown.
    """

    worker: str
    vendor: str
    installed: bool
    available: bool | None = None
    reason: str | None = None
    version: str | None = None
    formats: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    summary: str | None = None
    size_bytes: int | None = None


class WorkerVendor(ABC):
    """A place where workers come from: it puts engines on a machine and takes them off again.

    One object a hive, made without arguments and without work.  Methods block and are called in threads; `install`
    and `remove` one at a time.  What it installs must be found by a program that starts afterwards: an engine is a
    class that a plugin registers.  The hive looks for engines anew, in a fresh process, after every `install` and
    `remove`; it need not be restarted.

    A whole plugin::

        class TarVendor(WorkerVendor):
            name = "tar"
            home = Path("/opt/engines")

            def catalog(self):
                there = (self.home / "mill").is_dir()
                return (WorkerOffer(worker="mill", vendor=self.name, installed=there, formats=("grist",)),)

            def install(self, offer, say, progress, cancel):
                cancel.raise_if_cancelled()
                say("Unpacking mill")
                shutil.unpack_archive(self.home / "mill.tar.gz", self.home / "mill")

            def remove(self, offer, say, cancel):
                if not (self.home / "mill").is_dir():
                    raise NotFoundError(f"The worker {offer.worker!r} is not installed.")
                shutil.rmtree(self.home / "mill")
    """

    name: ClassVar[str]

    @abstractmethod
    def catalog(self) -> Sequence[WorkerOffer]:
        """What there is, installed or not; asked anew for every list, so be quick and use no network.

        A raised exception leaves this vendor out of the list, which says so.
        """

    @abstractmethod
    def install(
        self, offer: WorkerOffer, say: Callable[[str], None], progress: FetchProgress, cancel: CancelToken
    ) -> None:
        """Put an engine on this machine; called only for an offer of `catalog` that is not installed.

        Must look at `cancel` at least once a second, and end the processes it has started.

        Args:
            offer: which.
            say: takes a line for whoever watches.
            progress: told bytes, where they are known.
            cancel: ends it early; what was begun is undone or can be begun again.

        Raises:
            CancelledByCallerError: through `cancel`.
            RbeeError: why it could not be installed, and what a person can do.
        """

    @abstractmethod
    def remove(self, offer: WorkerOffer, say: Callable[[str], None], cancel: CancelToken) -> None:
        """Take an engine off this machine; called only for an installed one that no worker of the hive runs.

        Args:
            offer: which.
            say: takes a line for whoever watches.
            cancel: ends it early.

        Raises:
            CancelledByCallerError: through `cancel`.
            NotFoundError: it is not there; somebody else may have taken it away.
            RbeeError: why it could not be removed.
        """
