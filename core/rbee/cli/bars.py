"""Bars of progress on a terminal.  It loads rich: import it when there is something to show."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task
from rich.table import Column
from rich.text import Text

from rbee.cli.format import printable
from rbee.cli.meter import Transfer

_LONGEST_BAR, _SHORTEST_BAR = 24, 8
_BESIDES = 70
"""Cells that the words of a line should have before the bar grows."""


class _Words(ProgressColumn):
    """What a transfer says of itself at this moment."""

    def __init__(self, words: Callable[[Transfer, float], str], *, right: bool = False) -> None:
        super().__init__(Column(no_wrap=True, justify="right" if right else "left"))
        self._words = words

    def render(self, task: Task) -> Text:
        """Called by rich for each line."""
        return Text(printable(self._words(task.fields["transfer"], time.monotonic())))


class _Label(ProgressColumn):
    """What the line is about; in a narrow window it is what gives way."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=False, overflow="ellipsis", min_width=8))

    def render(self, task: Task) -> Text:
        """Called by rich for each line."""
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class _BarWhileKnown(BarColumn):
    """A bar once there is something to show the share of."""

    def render(self, task: Task) -> RenderableType:  # type: ignore[override]  # rich's own columns may render anything
        """Called by rich for each line."""
        return super().render(task) if task.total else Text()


def bars() -> Progress:
    """Lines with a sentence or name, the file, a bar, amount, rate and time left, on stderr; gone at the end.

    Every task has a `Transfer` in its field ``transfer``, and is updated with `completed` and `total` besides.
    """
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        _Label(),
        _Words(lambda transfer, _now: transfer.file),
        _BarWhileKnown(bar_width=max(_SHORTEST_BAR, min(_LONGEST_BAR, console.width - _BESIDES))),
        _Words(lambda transfer, _now: transfer.amount, right=True),
        _Words(Transfer.rate, right=True),
        _Words(Transfer.left, right=True),
        console=console,
        transient=True,
        # Data goes to stdout, wherever that leads.
        redirect_stdout=False,
    )
