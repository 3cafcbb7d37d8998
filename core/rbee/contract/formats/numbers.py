"""Numbers that a file claims."""

from __future__ import annotations

MOST = 1 << 31


def counted(value: object, most: int = MOST) -> int | None:
    """`value` when it is a count that makes sense, above 0 and below `most`; else None: unknown."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < most else None
