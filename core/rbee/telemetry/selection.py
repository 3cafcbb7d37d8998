"""The order in which workers are preferred, and what keeps requests away.  Pure."""

from __future__ import annotations

from rbee.telemetry.judgement import Presence, routable
from rbee.telemetry.records import WorkerEntry

Order = tuple[bool, bool, float, bool, int, bool, float]
"""Lower is better; see `load_order`."""

_WELL = frozenset({None, "", "healthy", "degraded", "ok", "unknown"})


def load_order(entry: WorkerEntry, gpu_pct: float | None) -> Order:
    """A free slot, lowest GPU load, most free slots, lowest latency; what is unknown comes after what is known.

    Args:
        entry: the worker.
        gpu_pct: load of its GPU while that is measured, else None.
    """
    free, latency = entry.slots_free, entry.latency_s
    return (
        free == 0,
        gpu_pct is None,
        gpu_pct or 0.0,
        free is None,
        -(free or 0),
        latency is None,
        latency or 0.0,
    )


def takes_requests(entry: WorkerEntry, presence: Presence) -> bool:
    """Whether requests may be sent to a worker.

    It is reachable and beats, its state serves, its last connection did not break, and no hive that measures it now
    calls it unwell.
    """
    if entry.failed_at is not None or entry.url is None or not routable(presence, entry.state):
        return False
    return presence is not Presence.ONLINE or entry.health in _WELL
