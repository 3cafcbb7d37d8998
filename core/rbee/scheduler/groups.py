"""The devices of one hive as places for a worker: in which order they are tried, and what is or could be free there.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from rbee.contract.devices import device_ids, find_devices
from rbee.contract.types import Device, DeviceType, EngineInfo
from rbee.scheduler.selectors import device_suits
from rbee.scheduler.spread import Group, sets_of
from rbee.scheduler.values import HiveView, IdleWorker, PlaceRequest


def free_bytes(hive: HiveView, device: Device) -> int | None:
    """Memory of a device that is free now; None when unknown."""
    return hive.gpu_free_bytes.get(device.id) if device.device_type is DeviceType.GPU else hive.ram_free_bytes


def concerns(worker: IdleWorker, device: Device) -> bool:
    """Whether an idle worker may hold memory of a device."""
    if device.device_type is not DeviceType.GPU or worker.device in {device.id, None}:
        return True
    return device.id in device_ids(worker.device)


def frees(worker: IdleWorker, device: Device) -> int:
    """Memory of a device that is free once an idle worker has stopped, as far as is known; none of one that stays."""
    if worker.pinned or not concerns(worker, device):
        return 0
    if device.device_type is not DeviceType.GPU:
        return worker.memory_bytes or 0
    if worker.device in {device.id, None}:
        return worker.vram_bytes or 0
    # Of several GPUs only what it is known to hold of this one.
    return worker.gpu_bytes.get(device.id, 0)


def room(hive: HiveView, device: Device) -> int | None:
    """Memory of a device that is free once idle workers have been stopped; None when unknown."""
    free = free_bytes(hive, device)
    return None if free is None else free + sum(frees(worker, device) for worker in hive.idle)


def free_of(hive: HiveView, group: Group) -> tuple[int | None, ...]:
    """Memory of each device that is free now; None when unknown."""
    return tuple(free_bytes(hive, device) for device in group)


def groups(request: PlaceRequest, hive: HiveView, engines: Sequence[EngineInfo]) -> Iterator[Group]:
    """Devices that may be used, GPUs before sets of them, these before processors, and of each the emptiest first.

    Workers of one GPU share its speed: on the first one with room they would pile up beside others that do nothing.
    """

    def order(device: Device) -> tuple[int, str]:
        return (-(free_bytes(hive, device) or 0), device.id)

    devices = sorted((one for one in hive.devices or () if device_suits(request.where, one)), key=order)
    if request.device is not None:
        named = find_devices(hive.devices or (), request.device) or ()
        if named and all(one in devices for one in named) and len({one.backend for one in named}) == 1:
            yield tuple(sorted(named, key=order))
        return
    gpus = [one for one in devices if one.device_type is DeviceType.GPU]
    yield from ((one,) for one in gpus)
    splitting = {backend for engine in engines for backend in engine.splits}
    splittable = [one for one in gpus if one.backend in splitting] if splitting else []
    if len(splittable) > 1:
        roomiest = sets_of(splittable, partial(room, hive))
        for emptiest, with_stops in zip(sets_of(splittable, partial(free_bytes, hive)), roomiest, strict=True):
            yield from dict.fromkeys((emptiest, with_stops))
    yield from ((one,) for one in devices if one.device_type is not DeviceType.GPU)
