"""Starts under way, of which their hives have not told yet: what they will take is not free for another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rbee.contract.types import Backend, Device, DeviceShare, DeviceType
from rbee.telemetry import HiveRecord


class Coming(NamedTuple):
    """A worker that is about to be started.

    Attributes:
        worker_id: that it will have.
        device: id of its device, of several with commas between.
        memory_bytes: of that device, of several in all; None when nobody can tell what it needs.
        threads: of the processor.
        shares: of several devices, what it will have of each.
    """

    worker_id: str
    device: str
    memory_bytes: int | None
    threads: int
    shares: tuple[DeviceShare, ...] = ()


class Held(NamedTuple):
    """What starts under way on one hive hold.

    Attributes:
        ram_bytes: of the machine's memory.
        gpu_bytes: by device id.
        threads: of the processor.
    """

    ram_bytes: int = 0
    gpu_bytes: Mapping[str, int] = {}
    threads: int = 0


_NOTHING = Held()


def held_by(starts: Sequence[Coming], record: HiveRecord) -> Held:
    """What starts hold that the hive's own figures do not show yet.

    A hive promises a worker its share before it starts the process, and tells of both in one beat: from then on its
    figures are the truth.
    """
    unseen = [one for one in starts if one.worker_id not in _told(record)] if starts else []
    if not unseen:
        return _NOTHING
    devices = {device.id: device for device in record.devices or ()}
    gpu: dict[str, int] = {}
    ram = 0
    takes = [share for one in unseen for share in one.shares or (_whole(one),)]
    for share in takes:
        device = devices.get(share.device)
        need = share.memory_bytes or 0
        if device is not None and device.device_type is DeviceType.GPU:
            gpu[device.id] = gpu.get(device.id, 0) + need
        if device is None or device.device_type is not DeviceType.GPU or _is_shared(device):
            ram += need
    for device in devices.values():
        if _is_shared(device):
            # It has no memory but the machine's.
            gpu[device.id] = ram
    return Held(ram, gpu, sum(one.threads for one in unseen))


def _whole(one: Coming) -> DeviceShare:
    return DeviceShare(device=one.device, memory_bytes=one.memory_bytes)


def less(figure: int | None, held: int) -> int | None:
    """What is left of something; None when that is unknown."""
    return None if figure is None else max(0, figure - held)


def _told(record: HiveRecord) -> set[str]:
    budgets: Iterable[str] = () if record.info is None else (one for part in record.info.memory for one in part.workers)
    return {*budgets, *(record.worker_ids or ())}


def _is_shared(device: Device) -> bool:
    return device.device_type is DeviceType.GPU and device.backend == Backend.METAL
