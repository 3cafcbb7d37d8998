"""Questions to vendors: each in a thread, bounded in time, and never in the way of the program's end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from rbee.contract.errors import PluginError, RbeeError, UnreachableError

log = logging.getLogger(__name__)

_AT_ONCE = 8
_DEADLINE_S = 30.0

T = TypeVar("T")


class _End(NamedTuple):
    """How a call ended.  Handed over as a value: not every exception may be set on a future."""

    value: object
    error: BaseException | None


class VendorCalls:
    """Calls methods of vendors, a few of each vendor at a time; the others wait for their turn.

    A thread that nobody waits for any more goes on alone and keeps its place until it ends: a vendor that hangs takes
    so many threads and no more, and none from other vendors.  The interpreter does not wait for them when it leaves.

    Args:
        at_once: calls of one vendor at the same time.
        deadline_s: how long a call is waited for, its turn included.
    """

    def __init__(self, at_once: int = _AT_ONCE, deadline_s: float = _DEADLINE_S) -> None:
        self._at_once = at_once
        self._deadline_s = deadline_s
        self._free: dict[str, asyncio.Semaphore] = {}

    async def call(self, vendor: str, function: Callable[[], T], *, within_s: float | None = None) -> T:
        """What the function returns.

        Args:
            vendor: name of the vendor, for the error.
            function: a call of one of its methods.
            within_s: how long to wait, where that is not as long as for others.

        Raises:
            UnreachableError: it did not return in time.
            PluginError: it raised something else than an error of rbee.
            RbeeError: as it raises.
        """
        seconds = self._deadline_s if within_s is None else within_s
        free = self._free.setdefault(vendor, asyncio.Semaphore(self._at_once))
        try:
            async with asyncio.timeout(seconds):
                await free.acquire()
                end = await _begun(function, f"vendor {vendor}", free.release)
        except TimeoutError as error:
            raise UnreachableError(
                f"The model vendor {vendor!r} did not answer within {seconds:g} s; try again later."
            ) from error
        if end.error is None:
            return end.value  # type: ignore[return-value]
        if isinstance(end.error, RbeeError):
            raise end.error
        log.error("model vendor %r fails", vendor, exc_info=end.error)
        raise PluginError(
            f"The model vendor {vendor!r} fails ({end.error!r}); update or remove its plugin."
        ) from end.error


def _begun(work: Callable[[], object], name: str, ended: Callable[[], None]) -> asyncio.Future[_End]:
    """Start a thread; `ended` is called when it has ended, whether or not anybody still waits."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_End] = loop.create_future()

    def finish(end: _End) -> None:
        ended()
        if not done.done():
            done.set_result(end)

    def body() -> None:
        try:
            end = _End(work(), None)
        except BaseException as error:
            end = _End(None, error)
        # The loop is closed when the program has ended under the work.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(finish, end)

    try:
        threading.Thread(target=body, name=name, daemon=True).start()
    except RuntimeError as error:
        # The system gives no more threads.
        finish(_End(None, error))
    return done
