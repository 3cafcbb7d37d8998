"""What a hive's machine has and what of it is free."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rbee.contract.devices import device_ids
from rbee.contract.types import Device, DeviceType
from rbee.contract.wire import GpuStats, NodeStats, ProcessStats
from rbee.telemetry.records import HiveRecord

_MIB = 1024 * 1024


class HiveResources(msgspec.Struct, frozen=True, kw_only=True):
    """A hive's machine.  Sizes are in MiB; None is unknown, and what is free on a hive that is down is unknown.

    Attributes:
        hive_id: whose they are.
        online: the hive beats.
        devices: its processors; None until it has told them.
        ram_total_mb: memory of the machine.
        ram_free_mb: of this, not in use.
        vram_total_mb: memory of all GPUs together; 0 where the hive told that it has none.
        vram_free_mb: of this, not in use; None when that is unknown of one of them.
        threads_total: processor threads that its workers may have in all.
        threads_free: of these, not promised to a worker.
        gpus: figures of each GPU.
    """

    hive_id: str
    online: bool
    devices: tuple[Device, ...] | None
    ram_total_mb: int | None
    ram_free_mb: int | None
    vram_total_mb: int | None
    vram_free_mb: int | None
    threads_total: int | None
    threads_free: int | None
    gpus: tuple[GpuStats, ...] | None


def resources_of(record: HiveRecord, *, online: bool) -> HiveResources:
    """The resources of a hive as it last told them.

    Args:
        record: the hive.
        online: whether it beats now.
    """
    node, info = record.node, record.info
    fresh = node if online else None
    totals, free = _gpu_memory(record.devices, node)
    return HiveResources(
        hive_id=record.hive_id,
        online=online,
        devices=record.devices,
        ram_total_mb=None if node is None else node.ram_total_mb,
        ram_free_mb=None if fresh is None else _less(fresh.ram_total_mb, fresh.ram_used_mb),
        vram_total_mb=_sum(totals),
        vram_free_mb=_sum(free) if online else None,
        threads_total=None if info is None else info.threads_total,
        threads_free=info.threads_free if online and info is not None else None,
        gpus=None if fresh is None else fresh.gpus,
    )


def free_vram_mb(sample: ProcessStats, node: NodeStats | None) -> int | None:
    """MiB left on a worker's GPU, of several on all of them together.

    The machine's own figure counts the others on that GPU too; without it, what the worker does not hold itself is
    all that is known.
    """
    if node is not None and sample.gpu is not None:
        own = device_ids(sample.gpu)
        left = [_less(gpu.vram_total_mb, gpu.vram_used_mb) for gpu in node.gpus if gpu.id in own]
        in_all = _sum(left) if len(left) == len(own) else None
        if in_all is not None:
            return in_all
    return _less(sample.total_vram_mb, sample.vram_mb)


def _gpu_memory(
    devices: tuple[Device, ...] | None, node: NodeStats | None
) -> tuple[list[int | None] | None, list[int | None] | None]:
    """Total and free MiB of each GPU; None when the hive has not told which it has."""
    measured = {gpu.id: gpu for gpu in node.gpus} if node is not None else {}
    known = {} if devices is None else {one.id: one for one in devices if one.device_type is DeviceType.GPU}
    if devices is None and not measured:
        return None, None
    totals: list[int | None] = []
    free: list[int | None] = []
    for gpu_id in measured.keys() | known.keys():
        stats, device = measured.get(gpu_id), known.get(gpu_id)
        total = stats.vram_total_mb if stats is not None else None
        if total is None and device is not None and device.memory_bytes is not None:
            total = device.memory_bytes // _MIB
        totals.append(total)
        free.append(None if stats is None else _less(total, stats.vram_used_mb))
    return totals, free


def _sum(sizes: Iterable[int | None] | None) -> int | None:
    if sizes is None:
        return None
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def _less(total: int | None, used: int | None) -> int | None:
    return None if total is None or used is None else max(0, total - used)
