"""Tables of data on stdout."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

from rbee.cli.console import table_console
from rbee.cli.format import printable

_SENTENCE = 24
"""Cells that a column with sentences has at least."""
_BETWEEN = "; "
"""Between the sentences of a cell that is on one line."""


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[str] = (),
    whole: Collection[str] = (),
    sentences: str | None = None,
) -> None:
    """Print rows under headings; where stdout is no terminal, each is one line, however long.

    Args:
        headings: of the columns.
        rows: cells; names of others may stand in them.
        right: headings of the columns that are set to the right, and never broken.
        whole: headings of further columns that are never broken.
        sentences: heading of the column whose cells run over several lines, and may begin some themselves.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(
            heading,
            justify="right" if heading in right else "left",
            no_wrap=heading in whole or heading in right,
            overflow="fold",
            min_width=_SENTENCE if heading == sentences else None,
        )
    between = "\n" if sys.stdout.isatty() else _BETWEEN
    for row in rows:
        parts = (
            cell.split("\n") if heading == sentences else [cell] for heading, cell in zip(headings, row, strict=True)
        )
        table.add_row(*(Text(between.join(map(printable, part))) for part in parts))
    table_console().print(table)
