"""The messages that the four programs and their clients exchange.

Names are those of ``docs/reference/wire.md``; a consumer ignores fields it does not know.  Times are RFC 3339 in
UTC, unknown values are ``null``.
"""

from rbee.contract.wire.aggregate import AggregateHeartbeat, AggregateWorker
from rbee.contract.wire.inference import InferAnswer, InferRequest, RequestRecord
from rbee.contract.wire.jobs import JobAccepted, JobDetail, JobEvent, JobSummary
from rbee.contract.wire.logs import LogPart
from rbee.contract.wire.operations import (
    HIVE_OPERATIONS,
    ModelDelete,
    ModelRequest,
    ModelUnload,
    OperationRequest,
    WorkerCatalogGet,
    WorkerProcessDelete,
    WorkerProcessGet,
    WorkerSpawn,
)
from rbee.contract.wire.records import WorkerRecord
from rbee.contract.wire.registration import ColonyAddresses, Component, ComponentType, LeaseRenewal, Registration
from rbee.contract.wire.results import (
    Checks,
    ModelDeleted,
    ModelDownloaded,
    ModelList,
    ModelRecord,
    ModelUnloaded,
    WorkerProcess,
    WorkerProcessDeleted,
    WorkerProcessList,
    WorkerSpawned,
)
from rbee.contract.wire.telemetry import (
    GpuStats,
    HealthStatus,
    HiveBeatAnswer,
    HiveCapabilities,
    HiveHeartbeat,
    HiveInfo,
    HiveTelemetry,
    NodeStats,
    ProcessStats,
    WorkerBeat,
    WorkerHeartbeat,
)
from rbee.contract.wire.times import utc_now

__all__ = [
    "HIVE_OPERATIONS",
    "AggregateHeartbeat",
    "AggregateWorker",
    "Checks",
    "ColonyAddresses",
    "Component",
    "ComponentType",
    "GpuStats",
    "HealthStatus",
    "HiveBeatAnswer",
    "HiveCapabilities",
    "HiveHeartbeat",
    "HiveInfo",
    "HiveTelemetry",
    "InferAnswer",
    "InferRequest",
    "JobAccepted",
    "JobDetail",
    "JobEvent",
    "JobSummary",
    "LeaseRenewal",
    "LogPart",
    "ModelDelete",
    "ModelDeleted",
    "ModelDownloaded",
    "ModelList",
    "ModelRecord",
    "ModelRequest",
    "ModelUnload",
    "ModelUnloaded",
    "NodeStats",
    "OperationRequest",
    "ProcessStats",
    "Registration",
    "RequestRecord",
    "WorkerBeat",
    "WorkerCatalogGet",
    "WorkerHeartbeat",
    "WorkerProcess",
    "WorkerProcessDelete",
    "WorkerProcessDeleted",
    "WorkerProcessGet",
    "WorkerProcessList",
    "WorkerRecord",
    "WorkerSpawn",
    "WorkerSpawned",
    "utc_now",
]
