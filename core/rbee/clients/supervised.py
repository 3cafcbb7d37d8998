"""Background tasks that do not die silently."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from rbee.clients.membership import jittered

log = logging.getLogger(__name__)


async def keep_running(
    name: str, work: Callable[[], Awaitable[None]], *, first_s: float = 1.0, longest_s: float = 30.0
) -> None:
    """Run `work` until it returns or this is cancelled; when it raises, log why and start it again.

    For loops on which others depend for as long as the program lives.  What such a loop expects, it handles itself:
    what arrives here is a defect, and one defect must not cost a lease or a heartbeat.

    Args:
        name: for the log.
        work: called anew for each start.
        first_s: wait after the first failure; it doubles with each further one.
        longest_s: the longest wait; a start that lived longer than this begins again with the first one.
    """
    loop = asyncio.get_running_loop()
    wait = first_s
    while True:
        started = loop.time()
        try:
            await work()
        except Exception:
            if loop.time() - started > longest_s:
                wait = first_s
            log.exception("%s failed unexpectedly; starting it again in about %.0f s", name, wait)
        else:
            return
        await asyncio.sleep(jittered(wait))
        wait = min(wait * 2, longest_s)
