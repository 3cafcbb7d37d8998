"""The device, or the devices, that a request to a hive means."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.contract.devices import device_ids, find_device, find_devices, set_name
from rbee.contract.errors import InvalidRequestError, UnavailableError
from rbee.contract.types import Device, EngineInfo


def devices_meant(
    devices: Sequence[Device], wanted: str | int | None, engines: Sequence[EngineInfo] = ()
) -> tuple[str, str]:
    """Id and backend of a device: the one that is meant, or the first; of several the ids with commas between.

    Args:
        devices: of the hive.
        wanted: id or number, of several with commas between; None where none is meant.
        engines: the first device that one of these drives goes before the first of all.

    Raises:
        InvalidRequestError: there is no such device, or they are driven in different ways.
        UnavailableError: none is known at all.
    """
    if wanted is None or wanted == "":
        if not devices:
            raise UnavailableError("No device of this machine is known; the hive's log says why.")
        driven = {backend for engine in engines for backend in engine.backends}
        first = next((device for device in devices if device.backend in driven), devices[0])
        return first.id, first.backend
    found = find_devices(devices, str(wanted))
    if found is None:
        parts = device_ids(str(wanted))
        strange: str | int = next((part for part in parts if find_device(devices, part) is None), wanted)
        strange = wanted if len(parts) <= 1 else strange
        names = ", ".join(device.id for device in devices) or "none"
        raise InvalidRequestError(f"There is no device {strange!r} here. Devices: {names}.", param="device")
    if len({device.backend for device in found}) > 1:
        told = ", ".join(f"{device.id} by {device.backend}" for device in found)
        raise InvalidRequestError(
            f"The devices {wanted!r} are driven in different ways ({told}); one worker needs devices of one kind.",
            param="device",
        )
    return set_name([device.id for device in found]), found[0].backend
