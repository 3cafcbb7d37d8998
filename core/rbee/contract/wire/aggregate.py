"""The aggregate form of a hive's heartbeat: the hive speaks for its workers, which do not beat the queen themselves."""

from __future__ import annotations

from datetime import datetime

import msgspec


class AggregateWorker(msgspec.Struct, frozen=True, kw_only=True):
    """One worker in the aggregate form.

    Attributes:
        worker_id: identity.
        state: a `WorkerState` in any case; ``Idle`` is read as ready.
        last_heartbeat: when the hive last heard of the worker, by the hive's clock; None when it does not say.
        health_status: ``healthy``, ``degraded``, or another word, which keeps requests away.
        url: address at which the queen reaches it.
        model_id: model it serves.
        backend: how its engine drives the device.
        device_id: index of its device, or a device id.
        vram_bytes: GPU memory it holds.
        ram_bytes: memory it holds.
        cpu_percent: of one processor.
        gpu_percent: load of its GPU, 0 to 100.
    """

    worker_id: str
    state: str
    last_heartbeat: datetime | None = None
    health_status: str | None = None
    url: str | None = None
    model_id: str | None = None
    backend: str | None = None
    device_id: int | str | None = None
    vram_bytes: int | None = None
    ram_bytes: int | None = None
    cpu_percent: float | None = None
    gpu_percent: float | None = None


class AggregateHeartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /v1/hive-heartbeat`` in the aggregate form.

    Attributes:
        hive_id: the hive that speaks.
        timestamp: of its clock; a beat that is not younger than the one before is late or replayed.
        workers: all that run there.
    """

    hive_id: str
    timestamp: datetime
    workers: tuple[AggregateWorker, ...] = ()
