"""The event loop and the memory of a program that carries much traffic."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

_COLLECT_AFTER = 20_000
"""Objects made, and not yet gone, before the youngest are looked at."""


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes uvloop's event loop, with twice the requests a second; None where there is none, as on Windows."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def settle_memory() -> None:
    """Leave what the start has made out of every later garbage collection: it stays, and looking at it takes long.

    A full collection would hold up every stream for as long as a token takes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
