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
)
from rbee.contract.engine_options import EngineOption, OptionValue, checked_options
from rbee.contract.figures import ModelFigures
from rbee.contract.hookspecs import hookimpl
from rbee.contract.http_vendor import FileSource, HttpModelVendor
from rbee.contract.policy import Policy, RequestView, Scores, WorkerView
from rbee.contract.presence import PresenceChange, PresenceEntry, PresenceEvent, PresenceStore
from rbee.contract.probe import NodeSample, Probe, ProcessSample
from rbee.contract.register import Register
from rbee.contract.token_engine import LoadedModel, Sampling, TokenEngine, TokenEvent, TokenRequest
from rbee.contract.tokenizer import Constraint, PackedMask, Tokenizer
from rbee.contract.types import (
    Backend,
    Capability,
    Device,
    DeviceShare,
    DeviceType,
    EngineInfo,
    LoadSpec,
    ModelFile,
    ModelVariant,
    WorkerState,
)
from rbee.contract.vendor import CancelToken, FetchProgress, ModelHit, ModelVendor
from rbee.contract.version import CONTRACT_VERSION
from rbee.contract.wire import GpuStats, JobEvent, ProcessStats, RequestRecord
from rbee.contract.worker_vendor import EngineEnvironment, WorkerOffer, WorkerVendor

__all__ = [
    "CONTRACT_VERSION",
    "Availability",
    "Backend",
    "CancelToken",
    "Capability",
    "Check",
    "Constraint",
    "Device",
    "DeviceShare",
    "DeviceType",
    "Endpoint",
    "Engine",
    "EngineEnvironment",
    "EngineInfo",
    "EngineOption",
    "EngineStatus",
    "FetchProgress",
    "FileSource",
    "GpuStats",
    "HttpModelVendor",
    "JobEvent",
    "LoadSpec",
    "LoadedModel",
    "ModelFigures",
    "ModelFile",
    "ModelHit",
    "ModelVariant",
    "ModelVendor",
    "NodeSample",
    "OptionValue",
    "PackedMask",
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
    "RequestView",
    "Sampling",
    "Scores",
    "ServedEngine",
    "StageReport",
    "TokenEngine",
    "TokenEvent",
    "TokenRequest",
    "Tokenizer",
    "WorkerOffer",
    "WorkerState",
    "WorkerVendor",
    "WorkerView",
    "checked_options",
    "hookimpl",
]
