"""Which machines and devices will do, by what they are: ``gpu=4090``, ``vram>=24``, ``room=attic``.  Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from rbee.contract.devices import find_devices
from rbee.contract.types import Device, DeviceType
from rbee.scheduler.values import HiveView, Selector

_GIB = 1024**3
_SELECTOR = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]{0,62})\s*(!=|>=|<=|=)\s*(\S(?:.{0,126}\S)?)\s*")
_ORDERED = frozenset({">=", "<="})


def selector(text: str) -> Selector:
    """A demand as a person writes it.

    Raises:
        ValueError: it is none; the message says what is.
    """
    found = _SELECTOR.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no selector; write KEY=VALUE, as gpu=4090, vram>=24, backend=cuda, room!=attic.")
    made = Selector(found[1].lower(), found[2], found[3].casefold())
    numbers = made.key in _NUMBERS
    if made.operator in _ORDERED and not numbers:
        raise ValueError(f"{text!r}: {made.operator} compares numbers, of {' and '.join(sorted(_NUMBERS))} alone.")
    if numbers and _number(made.value) is None:
        raise ValueError(f"{text!r}: {made.value!r} is no number.")
    return made


def hive_lacks(where: Sequence[Selector], hive: HiveView) -> str | None:
    """What a hive lacks of what is asked of it as a whole; None when it has all."""
    for one in where:
        if one.key in _OF_A_DEVICE:
            continue
        has = hive.hive_id if one.key == "hive" else hive.labels.get(one.key)
        if (has is not None and has.casefold() == one.value) is (one.operator == "!="):
            told = f"its {one.key} is {has}" if has is not None else f"it has no label {one.key!r}"
            return f"{told}, and {one} is asked for"
    return None


def device_suits(where: Sequence[Selector], device: Device) -> bool:
    """Whether a device has what is asked of one."""
    return all(_suits(one, device) for one in where if one.key in _OF_A_DEVICE)


def holds(where: Sequence[Selector], hive: HiveView, device_id: str | None) -> bool:
    """Whether all demands hold of one device of a hive, or of each of several; None is one that is not known."""
    if hive_lacks(where, hive) is not None:
        return False
    devices = find_devices(hive.devices or (), device_id or "")
    return not asked_of_devices(where) if devices is None else all(device_suits(where, one) for one in devices)


def asked_of_devices(where: Sequence[Selector]) -> tuple[Selector, ...]:
    """The demands that are made of a device."""
    return tuple(one for one in where if one.key in _OF_A_DEVICE)


def _suits(one: Selector, device: Device) -> bool:
    if one.key in _NUMBERS:
        has, wanted = _NUMBERS[one.key](device), _number(one.value)
        if has is None or wanted is None:
            return False
        if one.operator in _ORDERED:
            return has >= wanted if one.operator == ">=" else has <= wanted
        return (has == wanted) is (one.operator == "=")
    return _WORDS[one.key](device, one.value) is (one.operator == "=")


def _gpu(device: Device, value: str) -> bool:
    return device.device_type is DeviceType.GPU and value in device.name.casefold()


def _kind(device: Device, value: str) -> bool:
    return device.device_type.value == value or device.id.casefold() == value


def _backend(device: Device, value: str) -> bool:
    return str(device.backend).casefold() == value


def _vram(device: Device) -> float | None:
    if device.device_type is not DeviceType.GPU:
        return None
    if device.vram_gb is not None:
        return device.vram_gb
    return None if device.memory_bytes is None else device.memory_bytes / _GIB


def _cores(device: Device) -> float | None:
    return device.cores


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


_WORDS: Mapping[str, Callable[[Device, str], bool]] = MappingProxyType(
    {"gpu": _gpu, "device": _kind, "backend": _backend}
)
_NUMBERS: Mapping[str, Callable[[Device], float | None]] = MappingProxyType({"vram": _vram, "cores": _cores})
_OF_A_DEVICE = frozenset({*_WORDS, *_NUMBERS})
