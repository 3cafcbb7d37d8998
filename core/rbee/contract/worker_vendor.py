"""What a vendor of engines writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from rbee.contract.engine_options import EngineOption
from rbee.contract.types import EngineInfo
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
        origin: where the installed engine is, for a person; None when it is not installed or nobody knows.
        package: what is installed for it, in the vendor's own words; None where that has no name.
        options: what may be set for its workers, as far as it is known.
        note: what a person should know before choosing it.
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
    origin: str | None = None
    package: str | None = None
    options: tuple[EngineOption, ...] = ()
    note: str | None = None


class EngineEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """A Python environment apart from rbee's own, in which a worker vendor has put engines.

    The hive asks ``PYTHON -m rbee.plugins`` there what the engines say of themselves now, and starts their workers
    with ``PYTHON -m rbee.worker``: rbee itself must be found by that interpreter.

    Attributes:
        python: absolute path of its interpreter.
        engines: what was put there, as it told of itself when it was installed; other engines that its interpreter
            finds are not taken from there.
        reason: why it cannot be used, then ``; `` and what to do; None where nothing is known against it.
    """

    python: str
    engines: tuple[EngineInfo, ...]
    reason: str | None = None

    def own(self, found: Iterable[EngineInfo]) -> tuple[EngineInfo, ...]:
        """Its engines, as its interpreter tells of them now."""
        told = {one.name: one for one in found}
        gone = f"'{self.python}' finds it no more; remove it and install it anew"
        return tuple(told.get(one.name) or _unusable(one, gone) for one in self.engines)

    def unusable(self, reason: str) -> tuple[EngineInfo, ...]:
        """Its engines, none of which can be used."""
        return tuple(_unusable(one, reason) for one in self.engines)


class WorkerVendor(ABC):
    """A place where workers come from: it puts engines on a machine and takes them off again.

    One object a hive, made without arguments and without work.  Methods block and are called in threads; `install`
    and `remove` one at a time.  What it installs must be found by a program that starts afterwards: an engine is a
    class that a plugin registers, in rbee's own environment or in one that `environments` names.  The hive looks for
    engines anew, in a fresh process, after every `install` and `remove`; it need not be restarted.

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

    def keep_in(self, folder: Path) -> None:  # noqa: B027  # to ignore it is the default
        """Told once by the hive, before anything else is asked: the folder of this machine for installed engines.

        It may not be there yet, and other vendors use it too, so keep to a folder there that is called as this
        vendor.  Ignored by default.
        """

    def environments(self) -> Sequence[EngineEnvironment]:
        """Environments of its own in which it has put engines; none, the default, where rbee's own finds them.

        Asked at the start of the hive and after every change, so be quick and use no network.  A broken one is told
        with its `reason`, and hides no other.
        """
        return ()

    def offer(self, worker: str, package: str) -> WorkerOffer | None:
        """An engine that `catalog` does not list, by the package that brings it; None where packages mean nothing.

        Args:
            worker: the engine's name.
            package: as the person who asks has typed it: judge it.

        Raises:
            InvalidRequestError: no such package can be installed by this vendor, and why.
        """
        return None

    @abstractmethod
    def catalog(self) -> Sequence[WorkerOffer]:
        """What there is, installed or not; asked anew for every list, so be quick and use no network.

        A raised exception leaves this vendor out of the list, which says so.
        """

    @abstractmethod
    def install(
        self, offer: WorkerOffer, say: Callable[[str], None], progress: FetchProgress, cancel: CancelToken
    ) -> None:
        """Put an engine on this machine; called only for one of `catalog` that is not installed, or of `offer`.

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


def _unusable(engine: EngineInfo, reason: str) -> EngineInfo:
    return msgspec.structs.replace(engine, available=False, reason=reason)
