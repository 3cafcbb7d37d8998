"""The way from the engine's thread to the event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


class Mailbox(Generic[T]):
    """Hands items over in order, many with one wake-up of the loop.

    While a wake-up is under way further items join it, so a busy loop is not flooded with callbacks.

    Args:
        loop: the loop to run on.
        receive: called on the loop with all items that have come.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, receive: Callable[[list[T]], None]) -> None:
        self._loop = loop
        self._receive = receive
        self._lock = threading.Lock()
        self._items: list[T] = []
        self._under_way = False

    def post(self, items: Sequence[T]) -> None:
        """Hand items over; from any thread.  After the loop has closed they fall away: nobody reads them."""
        if not items:
            return
        with self._lock:
            self._items.extend(items)
            if self._under_way:
                return
            self._under_way = True
        try:
            self._loop.call_soon_threadsafe(self._flush)
        except RuntimeError:
            log.debug("the event loop has closed; results fall away")

    def _flush(self) -> None:
        with self._lock:
            items, self._items = self._items, []
            self._under_way = False
        self._receive(items)
