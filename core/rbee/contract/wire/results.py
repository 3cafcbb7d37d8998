"""Results of operations on workers and programs: payload of a job's last ``data`` event.  Unknown values are null."""

from __future__ import annotations

from datetime import datetime

import msgspec

from rbee.contract.checks import Check
from rbee.contract.types import DeviceShare


class WorkerSpawned(msgspec.Struct, frozen=True, kw_only=True):
    """``worker_spawn``, ``model_load``.

    Attributes:
        worker_id: of the worker that serves.
        url: its address.
        pid: its process.
        threads: processor threads it has.
        model_id: canonical name of its model.
        device: id of its device, of several with commas between; None for a worker of an earlier life that does not
            tell.
        already: it served before this job began.
        memory_bytes: memory of its device that it was promised, of several in all; None when nobody could tell what it
            needs.
        shares: of several devices, what it was promised of each; empty for one.
    """

    worker_id: str
    url: str
    pid: int
    threads: int
    model_id: str
    device: str | None
    already: bool
    memory_bytes: int | None = None
    shares: tuple[DeviceShare, ...] = ()


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
        device: id of its device, of several with commas between, likewise.
        backend: how the device is driven, likewise.
        threads: processor threads it has.
        slots: requests at the same time; None when it decided itself.
        context_length: tokens a slot; None when it decided itself.
        started_at: when the process started.
        uptime_s: seconds since.
        log: file with its output.
        memory_bytes: memory of its device that it was promised, of several in all; None when nobody could tell what it
            needs.
        shares: of several devices, what it was promised of each; empty for one.
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
    memory_bytes: int | None = None
    shares: tuple[DeviceShare, ...] = ()


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
