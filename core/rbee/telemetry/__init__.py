"""The queen's picture of the colony as it runs: one record a worker and a hive, each field from one source."""

from rbee.telemetry.heartbeats import HeartbeatRegistry
from rbee.telemetry.judgement import Limits, Presence
from rbee.telemetry.records import HiveRecord, WorkerEntry
from rbee.telemetry.registry import TelemetryRegistry
from rbee.telemetry.resources import HiveResources

__all__ = [
    "HeartbeatRegistry",
    "HiveRecord",
    "HiveResources",
    "Limits",
    "Presence",
    "TelemetryRegistry",
    "WorkerEntry",
]
