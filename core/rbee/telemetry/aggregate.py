"""What the aggregate form of a hive's heartbeat says of a worker, in the terms of the records."""

from __future__ import annotations

import contextlib
import urllib.parse
from datetime import UTC, datetime

from rbee.contract.types import Backend
from rbee.contract.wire import AggregateWorker, ProcessStats, Registration
from rbee.telemetry.merge import state_or
from rbee.telemetry.records import WorkerEntry

_MIB = 1024 * 1024


def process_stats(worker: AggregateWorker) -> ProcessStats:
    """The measured part, in the units of ProcessStats; the form knows no process id and no size of a GPU."""
    url = _address(worker.url)
    port = None
    if url is not None:
        with contextlib.suppress(ValueError):
            port = urllib.parse.urlsplit(url).port
    return ProcessStats(
        pid=None,
        worker_id=worker.worker_id,
        instance=None if port is None else str(port),
        port=port,
        model=worker.model_id,
        state=worker.state,
        gpu=device_called(worker),
        cpu_pct=worker.cpu_percent,
        gpu_util_pct=worker.gpu_percent,
        rss_mb=_mebibytes(worker.ram_bytes),
        vram_mb=_mebibytes(worker.vram_bytes),
    )


def apply_relayed(entry: WorkerEntry, worker: AggregateWorker) -> None:
    """What a worker would say of itself, from its hive's mouth."""
    entry.voice = "hive"
    entry.state = state_or(worker.state, entry.state)
    entry.url = _address(worker.url) or entry.url
    entry.model_id = worker.model_id
    entry.backend = worker.backend or entry.backend
    entry.device = device_called(worker) or entry.device


def device_called(worker: AggregateWorker) -> str | None:
    """Id of the worker's device; a plain index is that of a GPU unless the backend is a processor's."""
    device = worker.device_id
    if isinstance(device, int):
        kind = "CPU" if (worker.backend or "").lower() == Backend.CPU else "GPU"
        return f"{kind}-{device}"
    return device


def silence_s(timestamp: datetime, heard: datetime) -> float:
    """Seconds between the worker's last word to its hive and the hive's word to the queen, by the hive's clock."""
    return (aware(timestamp) - aware(heard)).total_seconds()


def aware(moment: datetime) -> datetime:
    """A time without a zone is UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _address(url: str | None) -> str | None:
    return None if url is None else Registration(url=url).address


def _mebibytes(size: int | None) -> int | None:
    return None if size is None else size // _MIB
