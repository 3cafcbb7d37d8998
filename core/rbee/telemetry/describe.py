"""A worker's record as the API lists it."""

from __future__ import annotations

from rbee.contract.wire import WorkerRecord
from rbee.telemetry.judgement import Presence
from rbee.telemetry.records import WorkerEntry


def describe(
    entry: WorkerEntry, presence: Presence, *, routable: bool, beat_age_s: float | None, sample_age_s: float | None
) -> WorkerRecord:
    """The record with its ages.

    Args:
        entry: the worker.
        presence: what its silence means.
        routable: whether it takes requests.
        beat_age_s: since its last word, None when there is none.
        sample_age_s: since it was measured, None when it is not.
    """
    sample = entry.sample
    return WorkerRecord(
        worker_id=entry.worker_id,
        url=entry.url,
        model_id=entry.model_id,
        model_name=entry.model_name,
        implementation=entry.implementation,
        version=entry.version,
        hive_id=entry.hive_id,
        device=entry.device,
        backend=entry.backend,
        state=entry.state,
        presence=presence,
        routable=routable,
        slots_total=entry.slots_total,
        slots_available=entry.slots_free,
        queue_depth=entry.queue_depth,
        tokens_per_second=entry.tokens_per_second,
        context_length=entry.context_length,
        capabilities=entry.capabilities,
        spawned_by=entry.spawned_by,
        instance_id=entry.instance_id,
        pid=entry.pid,
        cpu_pct=sample.cpu_pct if sample else None,
        rss_mb=sample.rss_mb if sample else None,
        threads=sample.threads if sample else None,
        memory_granted_mb=sample.memory_granted_mb if sample else None,
        vram_mb=sample.vram_mb if sample else None,
        gpu_pct=sample.gpu_util_pct if sample else None,
        uptime_s=sample.uptime_s if sample else None,
        heartbeat_age_s=_rounded(beat_age_s),
        telemetry_age_s=_rounded(sample_age_s),
        stage=entry.stage,
        vram_by_gpu_mb=sample.vram_by_gpu_mb if sample else None,
        granted_by_gpu_mb=sample.granted_by_gpu_mb if sample else None,
    )


def _rounded(age: float | None) -> float | None:
    return None if age is None else round(age, 3)
