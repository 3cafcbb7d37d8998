"""A table that gives up columns where the terminal is narrow, instead of cutting all of them to nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

_GAP = 2
_LEAST = 12
"""Cells to which the elastic column may be cut; with less it tells nothing."""


def fitting(widths: Sequence[int], first_to_go: Sequence[int], room: int) -> list[int]:
    """Which columns are shown, in their order.

    Args:
        widths: of all columns, in cells.
        first_to_go: columns that may be left out, the least important first.
        room: cells there are.
    """
    shown = list(range(len(widths)))
    for column in first_to_go:
        if sum(widths[one] for one in shown) + _GAP * (len(shown) - 1) <= room:
            break
        shown.remove(column)
    return shown


class NarrowTable:
    """Rows under headings.

    Args:
        headings: of the columns.
        rows: cells, plain text.
        right: headings of the columns that are set to the right.
        first_to_go: headings of the columns that may be left out, the least important first.
        elastic: the heading of a column that is cut before others go; None for none.
    """

    def __init__(
        self,
        headings: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        right: Collection[str],
        first_to_go: Sequence[str],
        elastic: str | None = None,
    ) -> None:
        self._headings = headings
        self._rows = rows
        self._right = right
        self._first_to_go = first_to_go
        self._elastic = elastic

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Called by rich with the room there is."""
        yield self._table(options.max_width)

    def _table(self, room: int) -> Table:
        from rich.cells import cell_len
        from rich.table import Table
        from rich.text import Text

        widths = [
            max(map(cell_len, (heading, *(row[at] for row in self._rows)))) for at, heading in enumerate(self._headings)
        ]
        elastic = None if self._elastic is None else self._headings.index(self._elastic)
        least = [min(width, _LEAST) if at == elastic else width for at, width in enumerate(widths)]
        shown = fitting(least, [self._headings.index(one) for one in self._first_to_go], room)
        spare = room - sum(least[at] for at in shown) - _GAP * (len(shown) - 1)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for at in shown:
            heading = self._headings[at]
            table.add_column(
                heading,
                justify="right" if heading in self._right else "left",
                no_wrap=True,
                max_width=least[at] + max(spare, 0) if at == elastic else None,
            )
        for row in self._rows:
            table.add_row(*(Text(row[at]) for at in shown))
        return table
