"""All that a plugin imports: types, abstract classes, hook markers and errors.

Everything public is re-exported here; `CONTRACT_VERSION` says which version of it this is.
"""

from rbee.contract.checks import Check
from rbee.contract.engine import (
    Availability,
    Endpoint,
    Engine,
    EngineStatus,
    ServedEngine,
    StageReport,
    TokenEngine,
    TokenEvent,
    TokenRequest,
)
from rbee.contract.hookspecs import hookimpl
from rbee.contract.policy import Policy, WorkerView
from rbee.contract.presence import PresenceChange, PresenceEntry, PresenceEvent, PresenceStore
from rbee.contract.probe import NodeSample, Probe, ProcessSample
from rbee.contract.register import Register
from rbee.contract.types import (
    Backend,
    Capability,
    Device,
    DeviceType,
    EngineInfo,
    LoadSpec,
    ModelFile,
    ModelVariant,
    WorkerState,
)
from rbee.contract.vendor import CancelToken, FetchProgress, ModelVendor, WorkerOffer, WorkerVendor
from rbee.contract.version import CONTRACT_VERSION
from rbee.contract.wire import GpuStats, JobEvent, ProcessStats, RequestRecord

__all__ = [
    "CONTRACT_VERSION",
    "Availability",
    "Backend",
    "CancelToken",
    "Capability",
    "Check",
    "Device",
    "DeviceType",
    "Endpoint",
    "Engine",
    "EngineInfo",
    "EngineStatus",
    "FetchProgress",
    "GpuStats",
    "JobEvent",
    "LoadSpec",
    "ModelFile",
    "ModelVariant",
    "ModelVendor",
    "NodeSample",
    "Policy",
    "PresenceChange",
    "PresenceEntry",
    "PresenceEvent",
    "PresenceStore",
    "Probe",
    "ProcessSample",
    "ProcessStats",
    "Register",
    "RequestRecord",
    "ServedEngine",
    "StageReport",
    "TokenEngine",
    "TokenEvent",
    "TokenRequest",
    "WorkerOffer",
    "WorkerState",
    "WorkerVendor",
    "WorkerView",
    "hookimpl",
]
