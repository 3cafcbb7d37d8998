"""Worker processes as the hive knows them, without asking the workers."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import msgspec
import psutil

from rbee.contract.types import WorkerState
from rbee.contract.wire import WorkerProcess
from rbee.contract.worker_args import WorkerArgs
from rbee.hive.children import Child

_DEFAULTS = MappingProxyType(
    {one.name: one.default for one in msgspec.structs.fields(WorkerArgs) if one.name in {"device", "backend"}}
)
"""What a hive leaves out of a command line because it is the default."""


def flags(pid: int) -> dict[str, str]:
    """A worker's command line, defaults included, as ``{"device": "CPU-0", ...}``; empty when it cannot be read."""
    try:
        argv = psutil.Process(pid).cmdline()
    except (psutil.Error, OSError):
        return {}
    pairs = (argument[2:].partition("=") for argument in argv if argument.startswith("--") and "=" in argument)
    return {**_DEFAULTS, **{name: value for name, _, value in pairs}}


def describe(child: Child, state: WorkerState | None, url: str, log: Path) -> WorkerProcess:
    """One of the hive's children.

    Args:
        child: which.
        state: as the supervisor knows it.
        url: its address.
        log: file with its output.
    """
    told = flags(child.pid)
    return WorkerProcess(
        worker_id=child.worker_id,
        pid=child.pid,
        port=child.port,
        url=url,
        model_id=child.model_id,
        state=None if state is None else state.value,
        engine=told.get("engine"),
        device=told.get("device"),
        backend=told.get("backend"),
        threads=child.threads,
        slots=_number(told.get("slots")),
        context_length=_number(told.get("context-length")),
        started_at=datetime.fromtimestamp(child.created, UTC) if child.created else None,
        uptime_s=max(0, int(time.time() - child.created)) if child.created else None,
        log=str(log),
        memory_bytes=child.memory_bytes,
        shares=child.shares,
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
