"""How commands talk: to stderr, live on a terminal, in plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rbee.cli.format import line, printable
from rbee.cli.meter import Transfer
from rbee.contract.wire import JobEvent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

EVERY_S = 5.0
"""How often progress is told where a line cannot be written anew."""
_NO_WIDTH = 1 << 20


def say(text: str) -> None:
    """A line of talk, or several; names of others may stand in them."""
    print("\n".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)


def table_console() -> Console:
    """For tables of data: stdout, as wide as the terminal; a pipe has no width, so that a row is a line there."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _NO_WIDTH, highlight=False, soft_wrap=False)


class Talk:
    """Shows what a job does until its answer begins."""

    def event(self, event: JobEvent) -> None:
        """Show one event."""
        if event.type == "narration" and event.human:
            say(line(event.human))

    def note(self, text: str) -> None:
        """Show a sentence of the command's own."""
        say(text)

    def done(self) -> None:
        """The answer begins, or nothing more comes: leave the screen clean.  Harmless when repeated."""


class Silent(Talk):
    """For a job of which only the result is wanted."""

    def event(self, event: JobEvent) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""


class Plain(Talk):
    """The same, with progress every few seconds.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._transfer = Transfer()
        self._next_at: float | None = None

    def event(self, event: JobEvent) -> None:
        """Show one event."""
        super().event(event)
        if event.type == "narration":
            self._next_at = None
        elif event.type == "progress":
            now = self._clock()
            self._transfer.take(event, now)
            if self._next_at is None:
                # A sentence has just told of the first step, and another one will tell of the last.
                self._next_at = now + EVERY_S
            elif now >= self._next_at and not self._transfer.complete:
                self._next_at = now + EVERY_S
                say(self._transfer.line(now))


class _Live(Talk):
    """A spinner with the latest sentence, and a bar while bytes come."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._begin("Starting")

    def event(self, event: JobEvent) -> None:
        if self._task is None:
            return
        if event.type == "narration" and event.human:
            # A new line for each sentence: what comes next has no known length, and a bar cannot lose its own.
            self._progress.remove_task(self._task)
            self._begin(line(event.human))
        elif event.type == "progress":
            self._transfer.take(event, time.monotonic())
            self._progress.update(self._task, completed=event.done or 0, total=event.total)

    def note(self, text: str) -> None:
        if self._task is not None:
            self._progress.update(self._task, description=line(text))

    def done(self) -> None:
        if self._task is not None:
            self._task = None
            self._progress.stop()

    def _begin(self, sentence: str) -> None:
        self._transfer = Transfer()
        self._task = self._progress.add_task(sentence, total=None, transfer=self._transfer)


def can_redraw() -> bool:
    """Whether stderr is a terminal on which a line can be written anew."""
    if not sys.stderr.isatty():
        return False
    from rich.console import Console

    return not Console(stderr=True).is_dumb_terminal


@contextlib.contextmanager
def talking() -> Iterator[Talk]:
    """A `Talk` that suits stderr."""
    if not can_redraw():
        yield Plain()
        return
    from rbee.cli.bars import bars

    progress = bars()
    live = _Live(progress)
    progress.start()
    try:
        yield live
    finally:
        live.done()
