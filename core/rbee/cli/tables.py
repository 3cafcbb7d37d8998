"""Tables of data on stdout."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rbee.cli.console import table_console
from rbee.cli.format import printable

_SENTENCE = 24
"""Cells that a column with sentences has at least."""


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[str] = (),
    whole: Collection[str] = (),
    sentences: str | None = None,
) -> None:
    """Print rows under headings.

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
    for row in rows:
        parts = (
            cell.split("\n") if heading == sentences else [cell] for heading, cell in zip(headings, row, strict=True)
        )
        table.add_row(*(Text("\n".join(map(printable, part))) for part in parts))
    table_console().print(table)
