"""What workers and hives tell of themselves: heartbeats, telemetry, capabilities."""

from __future__ import annotations

from datetime import datetime

import msgspec

from rbee.contract.types import Device, EngineInfo


class WorkerBeat(msgspec.Struct, frozen=True, kw_only=True):
    """The worker in its own heartbeat.

    Attributes:
        id: worker id.
        model_id: canonical model name; None while nothing is loaded.
        device: id of its device; of several with commas between, ``GPU-0,GPU-1``.
        port: where it listens.
        status: a `WorkerState`, in any case.
        implementation: name of the engine.
        version: of the engine.
        url: address at which the queen reaches it.
        hive_id: the hive on its machine.
        instance_id: new with every start of the process.
        seq: rises with every beat of an instance.
        slots_total: requests it serves at the same time.
        slots_available: of these, free ones.
        queue_depth: requests waiting inside the worker.
        tokens_per_second: generated, over the last seconds.
        context_length: tokens a slot.
        capabilities: what the OpenAI routes of this worker can do.
        model_name: what a person types to get the model.
        backend: how the engine drives its device.
        pid: its process.
        stage: what a loading worker is doing.
    """

    id: str
    model_id: str | None
    device: str | None
    port: int
    status: str
    implementation: str
    version: str | None
    url: str | None = None
    hive_id: str | None = None
    instance_id: str | None = None
    seq: int | None = None
    slots_total: int | None = None
    slots_available: int | None = None
    queue_depth: int | None = None
    tokens_per_second: float | None = None
    context_length: int | None = None
    capabilities: tuple[str, ...] | None = None
    model_name: str | None = None
    backend: str | None = None
    pid: int | None = None
    stage: str | None = None


class WorkerHeartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /v1/worker-heartbeat``; also what a worker's ``GET /info`` says.

    Attributes:
        worker: the worker.
        timestamp: when it was so.
        contract_version: version of the contract that the worker keeps; ``GET /info`` always says it.
    """

    worker: WorkerBeat
    timestamp: datetime
    contract_version: str | None = None


class ProcessStats(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's process in a hive's telemetry.  `pid` is None where only the aggregate form told of it.

    `rss_peak_mb` and `vram_peak_mb` are the most that it has used since it began, as far as was seen.  Of a worker on
    several GPUs, `gpu` names them with commas between, and `vram_by_gpu_mb` and `granted_by_gpu_mb` tell what it uses
    and was promised of each, by id; they are None for one on a single device.
    """

    pid: int | None
    group: str = "llm"
    instance: str | None = None
    cpu_pct: float | None = None
    rss_mb: int | None = None
    io_r_mb_s: float | None = None
    io_w_mb_s: float | None = None
    uptime_s: int | None = None
    gpu_util_pct: float | None = None
    vram_mb: int | None = None
    total_vram_mb: int | None = None
    model: str | None = None
    worker_id: str | None = None
    cgroup: str | None = None
    pids: tuple[int, ...] = ()
    port: int | None = None
    gpu: str | None = None
    state: str | None = None
    threads: int | None = None
    memory_granted_mb: int | None = None
    rss_peak_mb: int | None = None
    vram_peak_mb: int | None = None
    vram_by_gpu_mb: dict[str, int] | None = None
    granted_by_gpu_mb: dict[str, int] | None = None


class GpuStats(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU in the node record."""

    id: str
    util_pct: float | None = None
    vram_used_mb: int | None = None
    vram_total_mb: int | None = None
    temp_c: float | None = None
    power_w: float | None = None


class NodeStats(msgspec.Struct, frozen=True, kw_only=True):
    """The machine in a hive's telemetry."""

    cpu_pct: float | None = None
    ram_used_mb: int | None = None
    ram_total_mb: int | None = None
    gpus: tuple[GpuStats, ...] = ()


class DeviceBudget(msgspec.Struct, frozen=True, kw_only=True):
    """What a hive has promised of a device's memory.

    Attributes:
        device: its id.
        total_bytes: its memory; None when unknown.
        granted_bytes: promised to workers.
        free_bytes: what another worker can be promised; None when unknown.
        workers: ids of those that it is promised to, the ones that are being started among them.
    """

    device: str
    total_bytes: int | None
    granted_bytes: int
    free_bytes: int | None
    workers: tuple[str, ...] = ()


class HealthStatus(msgspec.Struct, frozen=True, kw_only=True):
    """``healthy``, or ``degraded`` with a reason."""

    status: str = "healthy"
    reason: str | None = None


class HiveInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A hive in its own heartbeat.

    Attributes:
        id: hive id.
        hostname: of its machine.
        port: where it listens.
        operational_status: ``ready``, ``draining`` or ``stopping``.
        health_status: and why, when not healthy.
        version: of rbee.
        url: address at which the queen reaches it.
        instance_id: new with every start of the process.
        seq: rises with every beat of an instance.
        threads_total: processor threads that its workers may have in all.
        threads_free: of these, not promised to a worker.
        threads_granted: promised to workers; more than there are when there are more workers than cores.
        models_seq: rises whenever the models on its disk change; ``GET /v1/catalog`` lists them.
        memory: what is promised of each device.
        labels: that its operator has given it, by name.
        models_free_bytes: room for models on its disk, without what rbee leaves untouched; None when unknown.
    """

    id: str
    hostname: str
    port: int
    operational_status: str = "ready"
    health_status: HealthStatus = HealthStatus()
    version: str | None = None
    url: str | None = None
    instance_id: str | None = None
    seq: int | None = None
    threads_total: int | None = None
    threads_free: int | None = None
    threads_granted: int | None = None
    models_seq: int | None = None
    memory: tuple[DeviceBudget, ...] = ()
    labels: dict[str, str] = {}
    models_free_bytes: int | None = None


class HiveHeartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /v1/hive-heartbeat``.  `capabilities` may be left out when they have not changed."""

    hive: HiveInfo
    timestamp: datetime
    workers: tuple[ProcessStats, ...] = ()
    capabilities: tuple[Device, ...] | None = None
    engines: tuple[EngineInfo, ...] | None = None
    node: NodeStats | None = None


class HiveBeatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to ``POST /v1/hive-heartbeat``.

    Attributes:
        status: ``ok``.
        message: whether it was taken.
        subscribed: the queen hears the hive's own stream at present: it need not push every beat.
        revoked: numbers, in hexadecimal digits, of certificates that have not ended and hold no more.
    """

    status: str = "ok"
    message: str = ""
    subscribed: bool = False
    revoked: tuple[str, ...] = ()


class HiveTelemetry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a hive's ``GET /v1/heartbeats/stream``.

    `capabilities` and `engines` are in a listener's first line, and again whenever they have changed.
    """

    type: str = "telemetry"
    hive_id: str
    hive_info: HiveInfo
    timestamp: datetime
    workers: tuple[ProcessStats, ...] = ()
    node: NodeStats | None = None
    capabilities: tuple[Device, ...] | None = None
    engines: tuple[EngineInfo, ...] | None = None


class HiveCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of a hive's ``GET /v1/capabilities``."""

    hive: HiveInfo
    capabilities: tuple[Device, ...]
    engines: tuple[EngineInfo, ...]
