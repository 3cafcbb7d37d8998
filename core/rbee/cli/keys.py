"""Single keys from a terminal, as long as something is shown there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def pressed(on_key: Callable[[str], None]) -> Iterator[None]:
    """Have `on_key` called with each key, within a running loop; nothing where stdin is no terminal.

    The terminal is put back as it was, however the block ends.  Ctrl+C stays a signal.
    """
    try:
        fd = sys.stdin.fileno()
        terminal = os.isatty(fd)
    except (OSError, ValueError):
        terminal = False
    if not terminal:
        yield
        return
    import termios
    import tty

    loop = asyncio.get_running_loop()
    before = termios.tcgetattr(fd)

    def read() -> None:
        data = os.read(fd, 64)
        if not data:
            # The terminal is gone: nothing more is to be heard, and asking again would never end.
            loop.remove_reader(fd)
        for char in data.decode("utf-8", "replace"):
            on_key(char)

    tty.setcbreak(fd)
    try:
        loop.add_reader(fd, read)
        yield
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
