"""Work that is for one client, and ends when that client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from rbee.contract.errors import CancelledByCallerError
from rbee.worker.face import Receive

T = TypeVar("T")


async def until_gone(receive: Receive) -> None:
    """Wait for the client to leave; its body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What the work comes to; it is cancelled when the client leaves before, or the caller is cancelled.

    Raises:
        CancelledByCallerError: the client has left; nobody reads it.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(until_gone(receive))
    try:
        await asyncio.wait([working, gone], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise CancelledByCallerError("The client went away before the answer was complete.")
        return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)
