"""Telemetry as the scheduler sees it: frozen values, made for one decision."""

from __future__ import annotations

from collections.abc import Callable

from rbee.contract.policy import WorkerView
from rbee.contract.types import WorkerState
from rbee.scheduler import Candidate, HiveView, IdleWorker
from rbee.telemetry import HiveRecord, TelemetryRegistry, WorkerEntry

_MIB = 1024 * 1024


def candidates(telemetry: TelemetryRegistry, model_id: str) -> list[Candidate]:
    """The model's workers; costs what the model has workers."""
    return [_candidate(telemetry, entry) for entry in telemetry.find_workers_by_model(model_id)]


def hives(
    telemetry: TelemetryRegistry,
    model_id: str,
    clock: Callable[[], float],
    failure: Callable[[str], tuple[float, str] | None],
) -> list[HiveView]:
    """All hives as places for a new worker of a model.

    Args:
        telemetry: the colony.
        model_id: what is to be placed.
        clock: the telemetry's.
        failure: when and why the model last failed to load on a hive.
    """
    return [_hive(telemetry, record, model_id, clock(), failure) for record in telemetry.list_all_hives()]


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
    model_id: str,
    now: float,
    failure: Callable[[str], tuple[float, str] | None],
) -> HiveView:
    node, info = record.node, record.info
    free_mb = (
        node.ram_total_mb - node.ram_used_mb
        if node is not None and node.ram_total_mb is not None and node.ram_used_mb is not None
        else None
    )
    failed = failure(record.hive_id)
    return HiveView(
        hive_id=record.hive_id,
        online=telemetry.is_hive_online(record.hive_id) and record.url is not None,
        accepting=info is None or info.operational_status == "ready",
        devices=record.devices,
        engines=record.engines,
        threads_free=info.threads_free if info is not None else None,
        ram_free_bytes=None if free_mb is None else free_mb * _MIB,
        idle=tuple(
            _idle(entry, now)
            for entry in telemetry.get_workers_on_hive(record.hive_id)
            if entry.model_id != model_id and _is_idle(entry)
        ),
        failed_s=None if failed is None else now - failed[0],
        failed_why=None if failed is None else failed[1],
    )


def _is_idle(entry: WorkerEntry) -> bool:
    # Only what a hive started may be stopped to make room: a worker of somebody else's is not ours to end.
    ours = entry.spawned_by is None or entry.spawned_by.startswith("hive-")
    return ours and entry.state is WorkerState.READY and entry.reserved == 0 and entry.external == 0


def _idle(entry: WorkerEntry, now: float) -> IdleWorker:
    since = max((moment for moment in (entry.last_used_at, entry.registered_at) if moment is not None), default=now)
    rss = entry.sample.rss_mb if entry.sample else None
    return IdleWorker(worker_id=entry.worker_id, idle_s=now - since, memory_bytes=None if rss is None else rss * _MIB)
