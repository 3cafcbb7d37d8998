"""Amounts of data: what is left of a disk, and sizes in words for people, in binary units everywhere."""

from __future__ import annotations

SPARE_BYTES = 256 * 1024 * 1024
"""What rbee leaves untouched of a disk."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def byte_size(count: int) -> str:
    """An amount of data: ``512 B``, ``4.6 MiB``, ``21.9 GiB``."""
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"
