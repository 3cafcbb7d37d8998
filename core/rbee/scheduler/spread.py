"""One model over several GPUs: which sets of them are tried, what each of a set gives, and whether that is enough.

Pure.  A model is cut between its layers, so that a set has room for it when its GPUs have it together, each has room
for what every one needs for itself (`Estimate.further_bytes`), and all are driven in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rbee.contract.types import Backend, Device, DeviceShare, DeviceType
from rbee.scheduler.memory import Estimate

Group = tuple[Device, ...]
"""The devices of one worker: one, or several GPUs that are driven in the same way."""


def sets_of(devices: Sequence[Device], free: Callable[[Device], int | None]) -> Iterator[Group]:
    """Sets to try, the smallest first; of each number and backend the one whose GPUs have most, these in front.

    No other set of as many has more.  A GPU without memory of its own, and one of which nothing is known, is in none.

    Args:
        devices: that may be used, in any order.
        free: what a GPU has; None when unknown.
    """
    by_backend: dict[str, list[tuple[int, str, Device]]] = {}
    for device in devices:
        has = free(device)
        if device.device_type is DeviceType.GPU and device.backend != Backend.METAL and has is not None:
            by_backend.setdefault(device.backend, []).append((-has, device.id, device))
    ranked = {backend: [device for *_, device in sorted(found)] for backend, found in sorted(by_backend.items())}
    for count in range(2, max(map(len, ranked.values()), default=0) + 1):
        for found in ranked.values():
            if len(found) >= count:
                yield tuple(found[:count])


def fits(need: Estimate, free: Sequence[int | None]) -> bool | None:
    """Whether a worker fits devices with so much free; None when the need, or one of these, is unknown.

    Args:
        need: on so many devices: see `Estimate.over`.
        free: of each.
    """
    if need.total_bytes is None:
        return None
    if len(free) == 1:
        return None if free[0] is None else need.total_bytes <= free[0]
    known = [one for one in free if one is not None]
    if len(known) < len(free):
        return None
    return need.total_bytes <= sum(known) and min(known) >= need.further_bytes


def shares_of(need: int | None, ids: Sequence[str], free: Sequence[int | None]) -> tuple[DeviceShare, ...]:
    """What each device of a set gives: in proportion to what it has free.

    Args:
        need: of all together; None when unknown.
        ids: of the devices.
        free: of each; evenly where one is unknown, or all are full.

    Returns:
        Shares that come to the need, none of them beyond what is free where that is enough.
    """
    if need is None:
        return tuple(DeviceShare(device=one) for one in ids)
    known = [max(0, one) for one in free if one is not None]
    weights: list[int] = known if len(known) == len(ids) and any(known) else [1] * len(ids)
    whole = sum(weights)
    parts = [need * weight // whole for weight in weights]
    # Bytes that the division has left over: fewer than there are devices.
    for place in sorted(range(len(ids)), key=lambda place: parts[place] - weights[place])[: need - sum(parts)]:
        parts[place] += 1
    return tuple(DeviceShare(device=one, memory_bytes=part) for one, part in zip(ids, parts, strict=True))


def together(free: Sequence[int | None]) -> int | None:
    """What devices have in all; None when it is unknown of one."""
    if len(free) == 1:
        return free[0]
    known = [one for one in free if one is not None]
    return sum(known) if len(known) == len(free) else None
