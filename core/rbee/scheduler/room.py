"""The memory of one machine as a place for a worker, from what its hive has measured: one reading for all who place."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.contract.types import Backend, Device, DeviceType
from rbee.contract.wire import DeviceBudget, NodeStats, ProcessStats
from rbee.scheduler.values import IdleWorker

_MIB = 1024 * 1024


def ram_free(
    node: NodeStats | None, devices: Sequence[Device] = (), budgets: Sequence[DeviceBudget] = ()
) -> int | None:
    """Memory of the machine that is free now, and not promised to a worker; None when unknown.

    Args:
        node: what was measured.
        devices: of the machine.
        budgets: what its hive tells of promises.
    """
    bounds = [one.free_bytes for one in budgets if _type(one, devices) is DeviceType.CPU]
    if node is not None and node.ram_total_mb is not None and node.ram_used_mb is not None:
        bounds.append((node.ram_total_mb - node.ram_used_mb) * _MIB)
    return min((bound for bound in bounds if bound is not None), default=None)


def gpu_free(node: NodeStats | None, devices: Sequence[Device], budgets: Sequence[DeviceBudget] = ()) -> dict[str, int]:
    """Free memory of each GPU of which it is known, or the most that it can be, less what is promised.

    Args:
        node: what was measured.
        devices: of the machine.
        budgets: what its hive tells of promises.
    """
    measured = {gpu.id: gpu for gpu in node.gpus} if node is not None else {}
    free: dict[str, int] = {}
    for device in devices:
        if device.device_type is not DeviceType.GPU:
            continue
        stats = measured.get(device.id)
        total = None if stats is None or stats.vram_total_mb is None else stats.vram_total_mb * _MIB
        total = device.memory_bytes if total is None else total
        used = stats.vram_used_mb * _MIB if stats is not None and stats.vram_used_mb is not None else 0
        # Such a GPU has no memory of its own.
        bounds = [
            None if total is None else max(0, total - used),
            ram_free(node) if device.backend == Backend.METAL else None,
            *(one.free_bytes for one in budgets if one.device == device.id),
        ]
        known = [bound for bound in bounds if bound is not None]
        if known:
            free[device.id] = min(known)
    return free


def idle_worker(
    worker_id: str,
    idle_s: float,
    device: str | None,
    backend: str | None,
    sample: ProcessStats | None,
    load_s: float | None = None,
    *,
    pinned: bool = False,
) -> IdleWorker:
    """A worker that could make room, with what it holds.

    Args:
        worker_id: identity.
        idle_s: seconds since its last request.
        device: id of its device, of several with commas between; None when unknown.
        backend: how that is driven, and the others.
        sample: of its process.
        load_s: seconds that its model took to load; None when unknown.
        pinned: it has to stay.
    """
    vram = sample.vram_mb if sample is not None else None
    rss = sample.rss_mb if sample is not None else None
    if backend == Backend.METAL and vram is None:
        # What it has of the one memory is told as that of its process.
        vram = rss
    promised = sample.memory_granted_mb if sample is not None else None
    # It is promised memory of its device, and may not have taken all of it.
    if backend in {Backend.CPU, Backend.METAL}:
        rss = _more(rss, promised)
    if backend != Backend.CPU:
        vram = _more(vram, promised)
    gpu_bytes = {} if sample is None else _by_gpu(sample)
    if gpu_bytes:
        vram = _more(vram, sum(gpu_bytes.values()) // _MIB)
    return IdleWorker(
        worker_id=worker_id,
        idle_s=idle_s,
        load_s=load_s,
        pinned=pinned,
        memory_bytes=None if rss is None else rss * _MIB,
        device=device,
        vram_bytes=None if vram is None else vram * _MIB,
        threads=sample.threads if sample is not None else None,
        gpu_bytes=gpu_bytes,
    )


def _by_gpu(sample: ProcessStats) -> dict[str, int]:
    """What a worker on several GPUs holds of each."""
    used, granted = sample.vram_by_gpu_mb or {}, sample.granted_by_gpu_mb or {}
    return {gpu: max(used.get(gpu, 0), granted.get(gpu, 0)) * _MIB for gpu in sorted(used.keys() | granted.keys())}


def _type(budget: DeviceBudget, devices: Sequence[Device]) -> DeviceType | None:
    return next((device.device_type for device in devices if device.id == budget.device), None)


def _more(one: int | None, other: int | None) -> int | None:
    return max((figure for figure in (one, other) if figure is not None), default=None)
