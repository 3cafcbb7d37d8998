"""The colony at this moment, for its metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from rbee.observability import SILENT, ColonyGauges, MemoryGauge, WorkerGauge
from rbee.scheduler import Sight
from rbee.telemetry import HiveRecord, Presence, TelemetryRegistry

_MIB = 1024 * 1024
_NONE: Mapping[str, Sight] = MappingProxyType({})
_NO_TUNNELS: Mapping[str, bool] = MappingProxyType({})
_BEATING = frozenset({Presence.ONLINE, Presence.UNOBSERVED})


def gauges(
    telemetry: TelemetryRegistry,
    running: Mapping[str, int],
    waiting: Mapping[str, int],
    seen: Mapping[str, Sight] = _NONE,
    tunnels: Mapping[str, bool] = _NO_TUNNELS,
) -> ColonyGauges:
    """What is true now.

    Args:
        telemetry: hives and workers.
        running: requests that are with a worker, by the canonical name of its model.
        waiting: requests that wait for a slot, likewise.
        seen: workers whose need of memory is known, by id.
        tunnels: machines that have an SSH tunnel, and whether it is open.
    """
    hives = telemetry.list_all_hives()
    return ColonyGauges(
        running=running,
        waiting=waiting,
        hives={hive.hive_id: telemetry.is_hive_online(hive.hive_id) for hive in hives},
        workers=[
            WorkerGauge(
                worker_id=entry.worker_id,
                hive_id=entry.hive_id,
                model_id=entry.model_id,
                # What it said last is no longer true of one that says nothing.
                state=str(entry.state) if telemetry.presence(entry) in _BEATING else SILENT,
                slots_total=entry.slots_total,
                slots_free=entry.slots_free,
                memory_peak_bytes=None if (sight := seen.get(entry.worker_id)) is None else sight.peak_bytes,
                memory_estimate_bytes=None if sight is None else sight.estimate.total_bytes,
            )
            for entry in telemetry.list_all_workers()
        ],
        memory=[one for hive in hives if telemetry.is_hive_online(hive.hive_id) for one in _memory(hive)],
        tunnels=tunnels,
    )


def _memory(hive: HiveRecord) -> Iterator[MemoryGauge]:
    node = hive.node
    if node is None:
        return
    yield _gauge(hive.hive_id, "ram", node.ram_used_mb, node.ram_total_mb)
    for gpu in node.gpus:
        yield _gauge(hive.hive_id, gpu.id, gpu.vram_used_mb, gpu.vram_total_mb)


def _gauge(hive_id: str, device: str, used_mb: int | None, total_mb: int | None) -> MemoryGauge:
    return MemoryGauge(
        hive_id=hive_id,
        device=device,
        used_bytes=None if used_mb is None else used_mb * _MIB,
        total_bytes=None if total_mb is None else total_mb * _MIB,
    )
