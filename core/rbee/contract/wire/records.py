"""What the queen tells of what she knows."""

from __future__ import annotations

import msgspec

from rbee.contract.types import WorkerState


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as the queen lists it (``GET /v1/workers/list``): one record merged from three sources.

    Attributes:
        worker_id: identity.
        url: address; from registration or heartbeat.
        model_id: canonical model; from the heartbeat.
        model_name: short name; from the heartbeat.
        implementation: engine; from the heartbeat.
        version: of the engine.
        hive_id: machine.
        device: device id, of several with commas between.
        backend: how it is driven.
        state: last state told.
        presence: ``online``, ``unobserved``, ``hung`` or ``offline``.
        routable: takes requests now.
        slots_total: from the heartbeat.
        slots_available: from the heartbeat, less reservations.
        queue_depth: from the heartbeat.
        tokens_per_second: from the heartbeat.
        context_length: from the heartbeat.
        capabilities: from the heartbeat.
        spawned_by: from registration.
        instance_id: from the newest source.
        pid: from telemetry.
        cpu_pct: from telemetry.
        rss_mb: from telemetry.
        threads: processor threads that its hive gave it; from telemetry.
        memory_granted_mb: memory of its device that its hive promised it; from telemetry.
        pinned: its model was pinned: it is not stopped to make room, nor for idleness; the queen's.
        unloads_in_s: seconds until it is stopped if nobody asks it; None for never; the queen's.
        vram_mb: from telemetry.
        gpu_pct: from telemetry.
        uptime_s: from telemetry.
        heartbeat_age_s: seconds since the worker's last beat.
        telemetry_age_s: seconds since the hive last measured it.
        stage: what a loading worker does.
        prefill_tok_s: tokens of a prompt that it computes a second, as measured by requests or `rbee bench`; None
            before that.
        decode_tok_s: tokens a second that one more answer would get there now, likewise.
        vram_by_gpu_mb: of several GPUs, what it uses of each, by id; None for one.  From telemetry.
        granted_by_gpu_mb: of several GPUs, what its hive promised it of each, likewise.
    """

    worker_id: str
    url: str | None
    model_id: str | None
    model_name: str | None
    implementation: str | None
    version: str | None
    hive_id: str | None
    device: str | None
    backend: str | None
    state: WorkerState
    presence: str
    routable: bool
    slots_total: int | None
    slots_available: int | None
    queue_depth: int | None
    tokens_per_second: float | None
    context_length: int | None
    capabilities: tuple[str, ...] | None
    spawned_by: str | None
    instance_id: str | None
    pid: int | None
    cpu_pct: float | None
    rss_mb: int | None
    vram_mb: int | None
    gpu_pct: float | None
    uptime_s: int | None
    heartbeat_age_s: float | None
    telemetry_age_s: float | None
    stage: str | None
    threads: int | None = None
    memory_granted_mb: int | None = None
    pinned: bool = False
    unloads_in_s: float | None = None
    prefill_tok_s: float | None = None
    decode_tok_s: float | None = None
    vram_by_gpu_mb: dict[str, int] | None = None
    granted_by_gpu_mb: dict[str, int] | None = None
