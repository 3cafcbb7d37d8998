"""One fetch under way, shared by all who want the model."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from rbee.catalog.cancel import Cancel
from rbee.catalog.store import CatalogEntry
from rbee.contract.types import ModelVariant

Progress = Callable[[int, int | None], None]
Say = Callable[[str], None]

LEAVE_S = 5.0
"""How long a vendor gets to notice that it was cancelled before nobody waits for it any more."""


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is here now.

    Attributes:
        entry: of the catalogue.
        already: nothing had to be done.
        received_bytes: that came over a line; None when the vendor does not tell.
        linked_bytes: of files that lay on this machine.
        origin: whose copy was taken, when it was not the vendor's.
    """

    entry: CatalogEntry
    already: bool = False
    received_bytes: int | None = 0
    linked_bytes: int = 0
    origin: str | None = None


class Fetch:
    """One fetch and those who wait for it.

    Attributes:
        variant: what is fetched.
        only: names of the peers that alone are to be asked; empty for all sources.
        cancel: tells the work to stop.
        at_source: its bytes come from the vendor, not from another hive: others may wait for it.
        done: bytes that are here.
        wanted_by: how many wait.
        task: does the work.
    """

    def __init__(self, variant: ModelVariant, only: tuple[str, ...] = ()) -> None:
        self.variant = variant
        self.only = only
        self.cancel = Cancel()
        self.at_source = False
        self.done = 0
        self.wanted_by = 0
        self.task: asyncio.Task[Brought] | None = None
        self._watchers: dict[object, tuple[Progress, Say]] = {}

    def suits(self, variant: ModelVariant, only: tuple[str, ...]) -> bool:
        """Whether it brings what somebody else wants."""
        return self.only == only and self.variant.same_files(variant)

    def tell(self, done: int, total: int | None) -> None:
        """Bytes have come."""
        self.done = done
        for progress, _ in list(self._watchers.values()):
            progress(done, total)

    def say(self, text: str) -> None:
        """A sentence for whoever watches."""
        for _, say in list(self._watchers.values()):
            say(text)

    @contextlib.asynccontextmanager
    async def watched(self, progress: Progress, say: Say, leave_s: float) -> AsyncIterator[None]:
        """Be one of those who want it; when the last one leaves, it is cancelled."""
        me = object()
        self._watchers[me] = (progress, say)
        self.wanted_by += 1
        try:
            yield
        finally:
            self._watchers.pop(me, None)
            self.wanted_by -= 1
            if self.wanted_by == 0 and self.task is not None and not self.task.done():
                self.cancel.cancel()
                # Waited for a moment, so that who left finds it ended; a new fetch of the same model waits in any case.
                # However it ends: the reason for leaving is what the caller must hear.
                await asyncio.wait([self.task], timeout=leave_s)
                self.task.add_done_callback(take_note)


def take_note(ended: asyncio.Future[Any]) -> None:
    """Look at how something ended for which nobody waits any more; the loop would complain of it otherwise."""
    if not ended.cancelled():
        ended.exception()


def in_loop(call: Callable[..., None]) -> Callable[..., None]:
    """A function for threads that calls `call` in the present event loop, as long as that runs."""
    loop = asyncio.get_running_loop()

    def told(*arguments: object) -> None:
        # The loop is closed when the program ends under a fetch; nobody listens then.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(call, *arguments)

    return told
