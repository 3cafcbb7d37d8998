"""Results of operations: the payload of a job's last ``data`` event, ``result``.  Unknown values are null."""

from __future__ import annotations

from datetime import datetime

import msgspec

from rbee.contract.checks import Check


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A model on a hive's machine.

    Attributes:
        model_id: canonical name.
        name: what a person types to get it.
        vendor: where it came from.
        format: ``gguf``, ``safetensors``, ...
        state: ``present``; ``fetching``; ``missing`` when its files have gone or changed behind rbee's back.
        quantization: None when unknown.
        revision: the vendor's; None where there is none.
        size_bytes: of all files; None when unknown.
        path: what an engine is pointed at; None while it is fetched, and for a model without files.
        in_place: its files lie where their owner put them and are never deleted.
        context_length: the model's own, in tokens.
        added_at: when it became available; None while it is fetched.
        workers: ids of this hive's workers that have it.
    """

    model_id: str
    name: str
    vendor: str
    format: str
    state: str
    quantization: str | None
    revision: str | None
    size_bytes: int | None
    path: str | None
    in_place: bool
    context_length: int | None
    added_at: datetime | None
    workers: tuple[str, ...]


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """``model_list``: by name."""

    models: tuple[ModelRecord, ...]


class ModelDownloaded(msgspec.Struct, frozen=True, kw_only=True):
    """``model_download``; `already`: nothing had to be fetched."""

    model_id: str
    path: str | None
    size_bytes: int | None
    already: bool


class ModelDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """``model_delete``.

    Attributes:
        model_id: canonical name; as it was asked for when it was not there.
        deleted: False when it was not there, with `missing_ok`.
        freed_bytes: None when unknown, 0 for a model whose files were used in place.
        path: where it was.
        stopped: workers that were stopped for it.
    """

    model_id: str
    deleted: bool
    freed_bytes: int | None
    path: str | None
    stopped: tuple[str, ...]


class ModelUnloaded(msgspec.Struct, frozen=True, kw_only=True):
    """``model_unload``: ids of the workers that were stopped."""

    model_id: str
    stopped: tuple[str, ...]


class WorkerSpawned(msgspec.Struct, frozen=True, kw_only=True):
    """``worker_spawn``, ``model_load``.

    Attributes:
        worker_id: of the worker that serves.
        url: its address.
        pid: its process.
        threads: processor threads it has.
        model_id: canonical name of its model.
        device: id of its device; None for a worker of an earlier life that does not tell.
        already: it served before this job began.
    """

    worker_id: str
    url: str
    pid: int
    threads: int
    model_id: str
    device: str | None
    already: bool


class WorkerProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's process, as its hive knows it; the worker itself is not asked.

    Attributes:
        worker_id: its id.
        pid: its process.
        port: where it listens.
        url: the same as an address.
        model_id: canonical name of its model.
        state: ``starting``, ``loading``, ``ready``, ``stopping``, as far as the hive can tell; None for a worker of an
            earlier life that does not answer.  Whether a ready one is busy the queen knows.
        engine: name of its engine; None when its command line cannot be read.
        device: id of its device, likewise.
        backend: how the device is driven, likewise.
        threads: processor threads it has.
        slots: requests at the same time; None when it decided itself.
        context_length: tokens a slot; None when it decided itself.
        started_at: when the process started.
        uptime_s: seconds since.
        log: file with its output.
    """

    worker_id: str
    pid: int
    port: int
    url: str
    model_id: str
    state: str | None
    engine: str | None
    device: str | None
    backend: str | None
    threads: int
    slots: int | None
    context_length: int | None
    started_at: datetime | None
    uptime_s: int | None
    log: str


class WorkerProcessList(msgspec.Struct, frozen=True, kw_only=True):
    """``worker_process_list``: by id."""

    workers: tuple[WorkerProcess, ...]


class WorkerProcessDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """``worker_process_delete``."""

    worker_id: str
    pid: int


class Checks(msgspec.Struct, frozen=True, kw_only=True):
    """``hive_check``, ``queen_check``."""

    checks: tuple[Check, ...]
