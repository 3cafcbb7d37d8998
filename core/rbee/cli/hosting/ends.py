"""What ends a program: a signal, or somebody who asks for it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable


class Ends:
    """The first signal ends the program in order, a second one at once."""

    def __init__(self) -> None:
        self.number: signal.Signals | None = None
        """The signal that came, None while none has."""
        self.at_once: Callable[[], None] = lambda: None
        """Called before the program leaves without order."""
        self._ended = asyncio.Event()

    def watch(self) -> None:
        """Take the signals over from Python."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._received, number)

    async def wait(self, *asked: asyncio.Event) -> None:
        """Return at the first signal, or once one of the events is set."""
        waiting = [asyncio.create_task(event.wait()) for event in (self._ended, *asked)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    def _received(self, number: signal.Signals) -> None:
        if self.number is not None:
            self.at_once()
            os._exit(128 + number)
        self.number = number
        self._ended.set()
