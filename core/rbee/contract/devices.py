"""Naming a device of a hive."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.contract.types import Device, DeviceType


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
