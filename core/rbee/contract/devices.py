"""Naming devices of a hive: one, or a set with commas between, ``GPU-0,GPU-1``."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.contract.types import Device, DeviceShare, DeviceType

_BETWEEN = ","


def device_ids(name: str | None) -> tuple[str, ...]:
    """The ids in the name of a device or a set of them; none in None."""
    return () if name is None else tuple(part for part in map(str.strip, name.split(_BETWEEN)) if part)


def set_name(ids: Sequence[str]) -> str:
    """What a set of devices is called."""
    return _BETWEEN.join(ids)


def shares_text(shares: Sequence[DeviceShare]) -> str | None:
    """Bytes of each of several devices, in their order, with commas between; None for no several, and when unknown."""
    known = [share.memory_bytes for share in shares if share.memory_bytes is not None]
    return _BETWEEN.join(map(str, known)) if known and len(known) == len(shares) else None


def shares_from(name: str | None, text: str | None) -> tuple[DeviceShare, ...]:
    """Several devices with what a worker has of each; empty for one.

    Args:
        name: of the devices, with commas between.
        text: as `shares_text` gives it; None when unknown.

    Raises:
        ValueError: that is no number for each.
    """
    ids = device_ids(name)
    if len(ids) <= 1:
        return ()
    parts = [int(part) for part in text.split(_BETWEEN)] if text else [None] * len(ids)
    return tuple(DeviceShare(device=one, memory_bytes=part) for one, part in zip(ids, parts, strict=True))


def find_device(devices: Sequence[Device], wanted: str) -> Device | None:
    """The device that a request means.

    Args:
        devices: of one hive.
        wanted: an id (``GPU-0``), or a number as in older clients: an index among the GPUs where there are any, else
            among the processors.

    Returns:
        The device, None when there is no such one.
    """
    for device in devices:
        if device.id == wanted:
            return device
    if wanted.isdecimal():
        kind = "GPU" if any(device.device_type is DeviceType.GPU for device in devices) else "CPU"
        return next((device for device in devices if device.id == f"{kind}-{int(wanted)}"), None)
    return None


def find_devices(devices: Sequence[Device], wanted: str) -> tuple[Device, ...] | None:
    """The devices that a request means, in the order in which it has them, each once.

    Args:
        devices: of one hive.
        wanted: as `find_device` takes it, several with commas between.

    Returns:
        None when there is not every one of them, or none is named.
    """
    found = [find_device(devices, part) for part in device_ids(wanted)]
    there = tuple(dict.fromkeys(device for device in found if device is not None))
    return there if there and None not in found else None
