"""Progress of several jobs side by side: a line each on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rbee.cli.console import EVERY_S, Talk, can_redraw, say
from rbee.cli.format import byte_share, line
from rbee.cli.meter import Transfer
from rbee.contract.wire import JobEvent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_FETCH = "model_download"


class Row(Talk):
    """One job.  Where lines are plain, it tells the first step, one every few seconds, and the last.

    Args:
        label: what it is about, for its line.
        prefix: before its sentences, where several jobs speak.
        clock: seconds.
    """

    def __init__(self, label: str, prefix: str, clock: Callable[[], float]) -> None:
        self.label = line(label)
        self.transfer = Transfer()
        self.fetched: tuple[int, int | None] | None = None
        """How much of a fetch that has not ended is here, and of how much."""
        self._prefix = line(prefix)
        self._clock = clock
        self._next_at: float | None = None

    def event(self, event: JobEvent) -> None:
        """Show one event."""
        if event.type == "narration" and event.human:
            self.note(event.human)
        elif event.type == "progress":
            self.transfer.take(event, self._clock())
            if event.action == _FETCH and event.done is not None and self.transfer.is_bytes:
                self.fetched = (event.done, event.total)
            self._show()

    def note(self, text: str) -> None:
        """Show a sentence, with the prefix."""
        told = line(text)
        self._say(f"{self._prefix}: {told}" if self._prefix else told)

    def ended(self, *, well: bool) -> None:
        """Nothing more comes."""
        if well:
            self.fetched = None

    def _show(self) -> None:
        now = self._clock()
        if self._next_at is None or now >= self._next_at or self.transfer.complete:
            self._next_at = now + EVERY_S
            told = self.transfer.line(now)
            if told:
                say(f"{self.label}: {told}")

    def _say(self, text: str) -> None:
        say(text)


class _LiveRow(Row):
    """One job with a bar; its sentences go above all bars."""

    def __init__(self, label: str, prefix: str, clock: Callable[[], float], progress: Progress) -> None:
        super().__init__(label, prefix, clock)
        self._progress = progress
        self._task: TaskID | None = progress.add_task(self.label, total=None, transfer=self.transfer)

    def done(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None

    def _show(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=self.transfer.done or 0, total=self.transfer.total)

    def _say(self, text: str) -> None:
        from rich.text import Text

        self._progress.console.print(Text(text))


class Transfers:
    """The jobs of one command, in plain lines.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rows: list[Row] = []

    def row(self, label: str, prefix: str = "") -> Row:
        """A line for one more job.

        Args:
            label: what it is about.
            prefix: before its sentences, where several jobs speak.
        """
        found = self._make(label, prefix)
        self._rows.append(found)
        return found

    def note(self, text: str) -> None:
        """Show a sentence of the command's own."""
        say(line(text))

    def close(self) -> None:
        """Leave the screen clean.  Harmless when repeated."""

    @property
    def kept(self) -> str:
        """What fetches that have not ended have brought: ``1.2 of 4.0 GiB``; nothing when that is nothing."""
        open_ones = [row.fetched for row in self._rows if row.fetched is not None]
        done = sum(part for part, _ in open_ones)
        totals = [total for _, total in open_ones if total is not None]
        return byte_share(done, sum(totals) if len(totals) == len(open_ones) else None) if done else ""

    def _make(self, label: str, prefix: str) -> Row:
        return Row(label, prefix, self._clock)


class LiveTransfers(Transfers):
    """The same with bars.

    Args:
        progress: draws; started.
        clock: seconds.
    """

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.progress = progress
        self._waiting: TaskID | None = None

    def note(self, text: str) -> None:
        """Show a sentence of the command's own, until the first job has its line."""
        if self._waiting is None:
            self._waiting = self.progress.add_task("", total=None, transfer=Transfer())
        self.progress.update(self._waiting, description=line(text))

    def close(self) -> None:
        """Take all lines off the screen."""
        self.progress.stop()

    def _make(self, label: str, prefix: str) -> Row:
        if self._waiting is not None:
            self.progress.remove_task(self._waiting)
            self._waiting = None
        return _LiveRow(label, prefix, self._clock, self.progress)


@contextlib.contextmanager
def transferring() -> Iterator[Transfers]:
    """A display that suits stderr."""
    if not can_redraw():
        yield Transfers()
        return
    from rbee.cli.bars import bars

    progress = bars()
    progress.start()
    display = LiveTransfers(progress)
    try:
        yield display
    finally:
        display.close()
        sys.stderr.flush()
