"""The messages that the four programs and their clients exchange.

Names are those of ``docs/reference/wire.md``; a consumer ignores fields it does not know.  Times are RFC 3339 in
UTC, unknown values are ``null``.
"""

from rbee.contract.wire.inference import InferAnswer, InferRequest, RequestRecord
from rbee.contract.wire.jobs import JobAccepted, JobEvent
from rbee.contract.wire.records import WorkerRecord
from rbee.contract.wire.registration import ColonyAddresses, Component, ComponentType, LeaseRenewal, Registration
from rbee.contract.wire.telemetry import (
    GpuStats,
    HealthStatus,
    HiveCapabilities,
    HiveHeartbeat,
    HiveInfo,
    NodeStats,
    ProcessStats,
    WorkerBeat,
    WorkerHeartbeat,
)
from rbee.contract.wire.times import utc_now

__all__ = [
    "ColonyAddresses",
    "Component",
    "ComponentType",
    "GpuStats",
    "HealthStatus",
    "HiveCapabilities",
    "HiveHeartbeat",
    "HiveInfo",
    "InferAnswer",
    "InferRequest",
    "JobAccepted",
    "JobEvent",
    "LeaseRenewal",
    "NodeStats",
    "ProcessStats",
    "Registration",
    "RequestRecord",
    "WorkerBeat",
    "WorkerHeartbeat",
    "WorkerRecord",
    "utc_now",
]
