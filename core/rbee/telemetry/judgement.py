"""Absence, judged by a pure function of ages: no clock, no state."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from rbee.contract.types import WorkerState


class Presence(StrEnum):
    """What the silence, or its absence, of a worker means.

    `ONLINE`: it beats and its hive sees it.  `UNOBSERVED`: it beats, and no hive measures it; requests may go there.
    `HUNG`: its process is there and it does not beat.  `OFFLINE`: nobody has heard of it lately.
    """

    ONLINE = "online"
    UNOBSERVED = "unobserved"
    HUNG = "hung"
    OFFLINE = "offline"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Ages in seconds; see the settings group ``telemetry``."""

    worker_stale_s: float = 15.0
    worker_gone_s: float = 30.0
    hive_degraded_s: float = 3.0
    hive_down_s: float = 10.0
    cleanup_s: float = 60.0


def worker_presence(beat_age_s: float | None, sample_age_s: float | None, limits: Limits) -> Presence:
    """Presence of a worker from the age of its own last word and of its hive's last measurement.

    Args:
        beat_age_s: since its heartbeat or registration, None when there was none.
        sample_age_s: since it was last seen in its hive's telemetry, None when never.
        limits: the ages that count.
    """
    return presence_of(
        beating=beat_age_s is not None and beat_age_s < limits.worker_stale_s,
        observed=sample_age_s is not None and sample_age_s < limits.hive_down_s,
    )


def presence_of(*, beating: bool, observed: bool) -> Presence:
    """Presence from which of its two sources is heard."""
    if beating:
        return Presence.ONLINE if observed else Presence.UNOBSERVED
    return Presence.HUNG if observed else Presence.OFFLINE


def hive_health(age_s: float | None, limits: Limits) -> str:
    """``healthy``, ``degraded`` or ``down`` from the age of a hive's last beat."""
    if age_s is None or age_s > limits.hive_down_s:
        return "down"
    return "healthy" if age_s < limits.hive_degraded_s else "degraded"


def routable(presence: Presence, state: WorkerState) -> bool:
    """Whether requests may be sent there."""
    return (presence is Presence.ONLINE or presence is Presence.UNOBSERVED) and state.serving
