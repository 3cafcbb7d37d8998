"""Telemetry as the scheduler sees it: frozen values, made for one decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rbee.contract.policy import WorkerView
from rbee.contract.types import Backend, DeviceType, ModelVariant, WorkerState
from rbee.queen.held import HeldIndex
from rbee.scheduler import Candidate, Failure, HiveView, IdleWorker
from rbee.telemetry import HiveRecord, TelemetryRegistry, WorkerEntry

_MIB = 1024 * 1024

FailureOf = Callable[[str, str], tuple[float, str] | None]
"""When and why a model last failed to load on a hive, by canonical name and hive."""


def candidates(telemetry: TelemetryRegistry, model_ids: Sequence[str]) -> list[Candidate]:
    """Workers of any of the models; costs what these have workers."""
    return [
        _candidate(telemetry, entry) for model_id in model_ids for entry in telemetry.find_workers_by_model(model_id)
    ]


def hives(
    telemetry: TelemetryRegistry,
    variants: Sequence[ModelVariant],
    held: HeldIndex,
    clock: Callable[[], float],
    failure: FailureOf,
) -> list[HiveView]:
    """All hives as places for a new worker of a model.

    Args:
        telemetry: the colony.
        variants: of what is to be placed.
        held: what lies on the disks.
        clock: the telemetry's.
        failure: when and why a variant last failed to load on a hive.
    """
    model_ids = frozenset(variant.model_id for variant in variants)
    # What lies nowhere yet may lie anywhere: only a hive's catalogue says where a file in place is.
    in_place = frozenset(one.model_id for one in variants if one.in_place is not None and held.holders(one.model_id))
    return [
        _hive(telemetry, record, model_ids, in_place, held, clock(), failure) for record in telemetry.list_all_hives()
    ]


def _candidate(telemetry: TelemetryRegistry, entry: WorkerEntry) -> Candidate:
    sample = entry.sample
    return Candidate(
        view=WorkerView(
            worker_id=entry.worker_id,
            hive_id=entry.hive_id,
            gpu_pct=sample.gpu_util_pct if sample else None,
            cpu_pct=sample.cpu_pct if sample else None,
            slots_total=entry.slots_total,
            slots_free=entry.slots_free,
            queue_depth=entry.queue_depth,
            latency_s=entry.latency_s,
        ),
        state=entry.state,
        presence=telemetry.presence(entry),
        routable=telemetry.is_routable(entry),
        capabilities=entry.capabilities,
        device=entry.device,
    )


def _hive(
    telemetry: TelemetryRegistry,
    record: HiveRecord,
    model_ids: frozenset[str],
    in_place: frozenset[str],
    held: HeldIndex,
    now: float,
    failure: FailureOf,
) -> HiveView:
    info = record.info
    ram_free = _ram_free(record)
    here = model_ids & held.on(record.hive_id).keys()
    failed = {model_id: found for model_id in model_ids if (found := failure(model_id, record.hive_id)) is not None}
    return HiveView(
        hive_id=record.hive_id,
        online=telemetry.is_hive_online(record.hive_id) and record.url is not None,
        accepting=info is None or info.operational_status == "ready",
        devices=record.devices,
        engines=record.engines,
        threads_free=info.threads_free if info is not None else None,
        ram_free_bytes=ram_free,
        gpu_free_bytes=_gpu_free(record, ram_free),
        idle=tuple(
            _idle(entry, now)
            for entry in telemetry.get_workers_on_hive(record.hive_id)
            if entry.model_id not in model_ids and _is_idle(entry)
        ),
        held=here,
        elsewhere=in_place - here,
        failed={model_id: Failure(now - when, why) for model_id, (when, why) in failed.items()},
    )


def _ram_free(record: HiveRecord) -> int | None:
    node = record.node
    if node is None or node.ram_total_mb is None or node.ram_used_mb is None:
        return None
    return (node.ram_total_mb - node.ram_used_mb) * _MIB


def _gpu_free(record: HiveRecord, ram_free: int | None) -> dict[str, int]:
    """Free memory of each GPU of which it is known, or the most that it can be."""
    measured = {gpu.id: gpu for gpu in record.node.gpus} if record.node is not None else {}
    free: dict[str, int] = {}
    for device in record.devices or ():
        if device.device_type is not DeviceType.GPU:
            continue
        stats = measured.get(device.id)
        total = None if stats is None or stats.vram_total_mb is None else stats.vram_total_mb * _MIB
        total = device.memory_bytes if total is None else total
        used = stats.vram_used_mb * _MIB if stats is not None and stats.vram_used_mb is not None else 0
        # Such a GPU has no memory of its own.
        bounds = [
            None if total is None else max(0, total - used),
            ram_free if device.backend == Backend.METAL else None,
        ]
        known = [bound for bound in bounds if bound is not None]
        if known:
            free[device.id] = min(known)
    return free


def _is_idle(entry: WorkerEntry) -> bool:
    # Only what a hive started may be stopped to make room: a worker of somebody else's is not ours to end.
    ours = entry.spawned_by is None or entry.spawned_by.startswith("hive-")
    return ours and entry.state is WorkerState.READY and entry.reserved == 0 and entry.external == 0


def _idle(entry: WorkerEntry, now: float) -> IdleWorker:
    since = max((moment for moment in (entry.last_used_at, entry.registered_at) if moment is not None), default=now)
    sample = entry.sample
    vram = sample.vram_mb if sample is not None else None
    rss = sample.rss_mb if sample is not None else None
    if entry.backend == Backend.METAL and vram is None:
        # What it has of the one memory is told as that of its process.
        vram = rss
    return IdleWorker(
        worker_id=entry.worker_id,
        idle_s=now - since,
        memory_bytes=None if rss is None else rss * _MIB,
        device=entry.device,
        vram_bytes=None if vram is None else vram * _MIB,
    )
