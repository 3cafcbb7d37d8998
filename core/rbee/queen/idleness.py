"""Which workers nobody asks, and since when."""

from __future__ import annotations

from rbee.contract.types import WorkerState
from rbee.telemetry import WorkerEntry


def may_be_stopped(entry: WorkerEntry) -> bool:
    """Whether a worker is ours to stop: a hive has started it, and none of somebody else's."""
    return entry.spawned_by is None or entry.spawned_by.startswith("hive-")


def is_idle(entry: WorkerEntry) -> bool:
    """Whether a worker may be stopped, and nobody asks it."""
    return may_be_stopped(entry) and entry.state is WorkerState.READY and entry.reserved == 0 and entry.external == 0


def is_ours(entry: WorkerEntry) -> bool:
    """Whether a worker may be stopped once nobody asks it."""
    return may_be_stopped(entry) and entry.state.serving


def idle_s(entry: WorkerEntry, now: float) -> float:
    """Seconds since a worker's last request ended, or since it had its model loaded."""
    since = max((moment for moment in (entry.last_used_at, entry.serves_since) if moment is not None), default=now)
    return max(0.0, now - since)
