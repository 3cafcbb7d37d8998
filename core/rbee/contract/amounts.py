"""Amounts of data: what is left of a disk, and sizes in words for people, in binary units everywhere."""

from __future__ import annotations

SPARE_BYTES = 256 * 1024 * 1024
"""What rbee leaves untouched of a disk."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def byte_size(count: int) -> str:
    """An amount of data: ``512 B``, ``4.6 MiB``, ``21.9 GiB``."""
    unit = _unit(count)
    return f"{_scaled(count, unit)} {_UNITS[unit]}"


def byte_share(done: int, total: int) -> str:
    """A part of an amount, in the unit of the whole: ``1.2 of 4.0 GiB``."""
    unit = _unit(total)
    return f"{_scaled(done, unit)} of {_scaled(total, unit)} {_UNITS[unit]}"


def _unit(count: int) -> int:
    unit = 0
    # As it is shown: 1023.96 KiB would be told as 1024.0.
    while unit < len(_UNITS) - 1 and round(count / 1024**unit, 1 if unit else 0) >= 1024:
        unit += 1
    return unit


def _scaled(count: int, unit: int) -> str:
    return f"{count / 1024**unit:.1f}" if unit else str(count)
