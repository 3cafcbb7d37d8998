"""How commands talk: to stderr, live on a terminal, in plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rbee.contract.wire import JobEvent

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID


def say(text: str) -> None:
    """One line of talk."""
    print(text, file=sys.stderr, flush=True)


def table_console() -> Console:
    """For tables of data: stdout, as wide as the terminal, or wide enough for a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200, highlight=False, soft_wrap=False)


class Talk:
    """Shows what a job does until its answer begins."""

    def event(self, event: JobEvent) -> None:
        """Show one event."""
        if event.type == "narration" and event.human:
            say(event.human)

    def note(self, text: str) -> None:
        """Show a sentence of the command's own."""
        say(text)

    def done(self) -> None:
        """The answer begins, or nothing more comes: leave the screen clean.  Harmless when repeated."""


class _Live(Talk):
    """A spinner with the latest sentence, and a bar while bytes come."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = progress.add_task("Starting", total=None)

    def event(self, event: JobEvent) -> None:
        if self._task is None:
            return
        if event.type == "narration" and event.human:
            # A new line for each sentence: what comes next has no known length, and a bar cannot lose its own.
            self._progress.remove_task(self._task)
            self._task = self._progress.add_task(event.human, total=None)
        elif event.type == "progress":
            self._progress.update(self._task, completed=event.done or 0, total=event.total)

    def note(self, text: str) -> None:
        if self._task is not None:
            self._progress.update(self._task, description=text)

    def done(self) -> None:
        if self._task is not None:
            self._task = None
            self._progress.stop()


@contextlib.contextmanager
def talking() -> Iterator[Talk]:
    """A `Talk` that suits stderr."""
    if not sys.stderr.isatty():
        yield Talk()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, Task, TextColumn
    from rich.table import Column
    from rich.text import Text

    class _BarWhileKnown(BarColumn):
        def __call__(self, task: Task) -> RenderableType:
            return super().__call__(task) if task.total else ""

    class _BytesWhileKnown(DownloadColumn):
        def render(self, task: Task) -> Text:
            return super().render(task) if task.total else Text()

    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", table_column=Column(no_wrap=True), markup=False),
        _BarWhileKnown(bar_width=24),
        _BytesWhileKnown(),
        console=Console(stderr=True),
        transient=True,
    )
    progress.start()
    live = _Live(progress)
    try:
        yield live
    finally:
        live.done()
