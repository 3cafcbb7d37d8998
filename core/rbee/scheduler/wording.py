"""How variants and their sizes are told to a person."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.contract.types import Device, ModelVariant
from rbee.scheduler.memory import Estimate

_MIB = 1024 * 1024
_TOLD = 4
"""Variants whose numbers are told when none of them fits."""


def called(variant: ModelVariant) -> str:
    """A variant among others of its model."""
    return f"{variant.quantization} ({variant.format})" if variant.quantization else variant.name


def size(count: int) -> str:
    """Bytes, with about three digits."""
    if count < 10 * _MIB:
        return f"{count / _MIB:.1f} MiB"
    return f"{count // _MIB} MiB" if count < 10 * 1024 * _MIB else f"{count / (1024 * _MIB):.1f} GiB"


def needed(need: Estimate) -> str:
    """What something needs, and how that is known if not by its figures alone."""
    return f"needs about {size(need.total_bytes or 0)}{f', {need.because},' if need.because else ''}"


def free_on(group: Sequence[Device], free: Sequence[int | None], are: str = "are free") -> str:
    """What devices have, with their names: ``3.0 GiB are free on GPU-0``."""
    if len(group) == 1:
        return f"{size(free[0] or 0)} {are} on {group[0].id}"
    parts = [f"{size(one or 0)} on {device.id}" for device, one in zip(group, free, strict=True)]
    return f"{', '.join(parts[:-1])} and {parts[-1]} {are}"


def has_room(need: Estimate, free: int | None, *, stopping: bool) -> str:
    """What a variant needs and what there is, of one that may be taken.

    Args:
        need: of the variant.
        free: None when unknown.
        stopping: idle workers have to be stopped for it.
    """
    if need.total_bytes is None:
        return "what it needs is unknown"
    if free is None:
        return f"it {needed(need).rstrip(',')}, and what is free is unknown"
    after = ", once idle workers have made room" if stopping else ""
    return f"it {needed(need)} and {size(free)} are free{after}"


def too_large(
    variants: Sequence[tuple[ModelVariant, Estimate]],
    limit: Sequence[int | None],
    group: Sequence[Device],
    *,
    stopping: bool = False,
) -> list[str]:
    """What variants need that do not fit a device, or several together, one sentence each.

    Args:
        variants: with their needs.
        limit: what there is of each device.
        group: these devices; the needs are of all of them together.
        stopping: there is so much once idle workers have been stopped.
    """
    free = free_on(group, limit, "could be made free" if stopping else "are free")
    told = [f"{called(variant)} {needed(need)} and {free}" for variant, need in variants[:_TOLD]]
    more = len(variants) - _TOLD
    return [*told, f"{more} more variants need too much as well"] if more > 0 else told
