"""Figures for people; an unknown one is a dash, never 0."""

from __future__ import annotations

from rbee.contract import amounts

UNKNOWN = "-"


def duration(seconds: float | None) -> str:
    """A length of time in at most two units: ``3h 12m``."""
    if seconds is None:
        return UNKNOWN
    whole = int(seconds)
    for size, unit, below, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size}{unit} {rest}{small}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"


def megabytes(mebibytes: int | None) -> str:
    """Memory given in MiB: ``612 MiB``, ``7.4 GiB``."""
    if mebibytes is None:
        return UNKNOWN
    return f"{mebibytes} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"


def byte_size(count: int | None) -> str:
    """An amount of data: ``512 B``, ``4.6 MiB``."""
    return UNKNOWN if count is None else amounts.byte_size(count)


def byte_share(done: int, total: int | None) -> str:
    """A part of an amount, in the unit of the whole: ``1.2 of 4.0 GiB``; the part alone when the whole is unknown."""
    return byte_size(done) if total is None else amounts.byte_share(done, total)


def text(value: object) -> str:
    """Anything, or a dash."""
    return UNKNOWN if value is None else str(value)


def printable(words: str) -> str:
    """A cell of a table: names come from others, and nothing in them is for the terminal to obey or to turn around."""
    return words if words.isprintable() else "".join(char if char.isprintable() else "?" for char in words)


def line(words: str) -> str:
    """A sentence of somebody else's on one line, as `printable`."""
    return printable(" ".join(words.split()))
