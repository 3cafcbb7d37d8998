"""The messages that the four programs and their clients exchange.

Names are those of ``docs/reference/wire.md``; a consumer ignores fields it does not know.  Times are RFC 3339 in
UTC, unknown values are ``null``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from rbee.contract.types import Device, EngineInfo, WorkerState

_BASE_URL = re.compile(r"https?://(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")

ComponentType = Literal["queen", "hive", "worker", "gui"]


def utc_now() -> datetime:
    """The present moment with its time zone, as the wire format wants it."""
    return datetime.now(UTC)


class Registration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of ``POST /v1/registry/register`` (both forms), of the fast path and of the ready callback.

    Attributes:
        component_type: absent in the worker forms.
        component_id: absent in the worker forms.
        worker_id: the id in the worker forms.
        hostname: where it listens, with `port`; or `url` alone.
        port: see `hostname`.
        url: base address; wins over hostname and port.
        metadata: free facts, from which the registry never draws conclusions.
        instance_id: new with every start of the process.
        worker_type: by custom ``llm``.
        model: model the worker serves.
        model_ref: the same in the ready callback.
        spawned_by: ``gui`` or ``hive-<id>``.
        backend: of the ready callback.
        device: of the ready callback; an index or a device id.
        vram_bytes: of the ready callback.
        state: state of the worker at this moment, where the sender knows it.
        hive_id: the hive on whose machine it runs.
        pid: its process on that machine.
    """

    component_type: ComponentType | None = None
    component_id: str | None = None
    worker_id: str | None = None
    hostname: str | None = None
    port: int | None = None
    url: str | None = None
    metadata: dict[str, Any] = {}
    instance_id: str | None = None
    worker_type: str | None = None
    model: str | None = None
    model_ref: str | None = None
    spawned_by: str | None = None
    backend: str | None = None
    device: str | int | None = None
    vram_bytes: int | None = None
    state: str | None = None
    hive_id: str | None = None
    pid: int | None = None

    @property
    def identity(self) -> str | None:
        """The component's id, whichever form was used."""
        return self.component_id or self.worker_id

    @property
    def kind(self) -> ComponentType:
        """The component's type; the short forms are workers."""
        return self.component_type or "worker"

    @property
    def address(self) -> str | None:
        """Base address without a trailing slash, None when neither form is complete and sound."""
        if self.url:
            return self.url.rstrip("/") if _BASE_URL.fullmatch(self.url.rstrip("/")) else None
        if self.hostname and self.port:
            host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
            made = f"http://{host}:{self.port}"
            return made if _BASE_URL.fullmatch(made) and 0 < self.port < 65536 else None
        return None


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """A component as the registry lists it."""

    component_type: ComponentType
    component_id: str
    url: str
    hostname: str | None = None
    port: int | None = None
    instance_id: str | None = None
    metadata: dict[str, Any] = {}
    registered_at: datetime | None = None
    last_seen: datetime | None = None
    online: bool | None = None


class ColonyAddresses(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a worker's ``POST /v1/colony``: where queen and registry are now, None for none."""

    queen_url: str | None = None
    registry_url: str | None = None


class LeaseRenewal(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /v1/registry/heartbeat`` and ``DELETE /v1/registry/unregister``."""

    component_type: ComponentType | None = None
    component_id: str | None = None
    worker_id: str | None = None
    instance_id: str | None = None


class WorkerBeat(msgspec.Struct, frozen=True, kw_only=True):
    """The worker in its own heartbeat.

    Attributes:
        id: worker id.
        model_id: canonical model name; None while nothing is loaded.
        device: id of its device.
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
    """Body of ``POST /v1/worker-heartbeat``; also what a worker's ``GET /info`` says."""

    worker: WorkerBeat
    timestamp: datetime


class ProcessStats(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's process in a hive's telemetry."""

    pid: int
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


class HiveHeartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /v1/hive-heartbeat``.  `capabilities` may be left out when they have not changed."""

    hive: HiveInfo
    timestamp: datetime
    workers: tuple[ProcessStats, ...] = ()
    capabilities: tuple[Device, ...] | None = None
    engines: tuple[EngineInfo, ...] | None = None
    node: NodeStats | None = None


class HiveCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of a hive's ``GET /v1/capabilities``."""

    hive: HiveInfo
    capabilities: tuple[Device, ...]
    engines: tuple[EngineInfo, ...]


class JobEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of a job's stream; which fields are set depends on `type`.

    Attributes:
        type: ``narration``, ``progress``, ``data``, ``error``, ``cancelled`` or ``done``; the last three end a job.
        job_id: the job.
        emitted_at_ms: Unix time in milliseconds.
        correlation_id: of the request that started the job.
        actor: program that speaks, for narration.
        action: what it does.
        target: to what.
        human: the sentence for a person.
        formatted: the same with actor and action in columns.
        done: for progress, units done.
        total: units in all, None when unknown.
        unit: ``bytes``, by custom.
        rate: units a second.
        eta_s: seconds left.
        payload: for data, any JSON.
        code: for error, an error code.
        message: for error, the sentence for a person.
        details: for error, further facts.
    """

    type: Literal["narration", "progress", "data", "error", "cancelled", "done"]
    job_id: str
    emitted_at_ms: int
    correlation_id: str | None = None
    actor: str | None = None
    action: str | None = None
    target: str | None = None
    human: str | None = None
    formatted: str | None = None
    done: int | None = None
    total: int | None = None
    unit: str | None = None
    rate: float | None = None
    eta_s: float | None = None
    payload: Any = None
    code: str | None = None
    message: str | None = None
    details: dict[str, Any] | None = None

    @property
    def terminal(self) -> bool:
        """True for the one event that ends a job."""
        return self.type in {"error", "cancelled", "done"}


class JobAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``POST /v1/jobs``."""

    job_id: str
    sse_url: str


class InferRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of a worker's ``POST /v1/infer`` and of the queen's job ``infer``.

    Exactly one of `prompt` and `messages`.  A prompt to a chat model is its first user message unless `raw`.
    Bounds: `max_tokens` 1 to 1,000,000; `temperature` 0 to 5; `top_p` above 0 to 1; `top_k` 0 to 100,000.
    """

    model: str | None = None
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    raw: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: list[str] | None = None
    stream: bool = True
    hive_id: str | None = None
    device: str | int | None = None
    worker_id: str | None = None
    request_id: str | None = None


class InferAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whole answer of ``POST /v1/infer``.  `stop_reason`: MAX_TOKENS, EOS, STOP_SEQUENCE, CANCELLED or ERROR."""

    text: str
    tokens_generated: int | None
    duration_ms: int
    stop_reason: str


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One finished inference request, as observers and the access log see it.

    Attributes:
        request_id: of the request.
        path: route asked for; ``/v1/jobs`` for an `infer` job.
        model: name asked for.
        worker_id: who answered, None when nobody did.
        status: HTTP status sent.
        error_code: None when it ended well.
        first_byte_s: seconds to the first byte of the body, None when none came.
        duration_s: seconds in all.
        bytes_out: bytes of the body sent on.
    """

    request_id: str
    path: str
    model: str | None
    worker_id: str | None
    status: int
    error_code: str | None
    first_byte_s: float | None
    duration_s: float
    bytes_out: int


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
        device: device id.
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
        vram_mb: from telemetry.
        gpu_pct: from telemetry.
        uptime_s: from telemetry.
        heartbeat_age_s: seconds since the worker's last beat.
        telemetry_age_s: seconds since the hive last measured it.
        stage: what a loading worker does.
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
