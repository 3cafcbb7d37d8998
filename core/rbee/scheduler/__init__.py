"""The decision where a request goes and where a model is loaded: pure functions over frozen values."""

from rbee.scheduler.artefacts import Choice, Unsuitable, choose, estimates
from rbee.scheduler.correction import Sight, as_seen, blank, corrected, error_pct, found, learn, peak_bytes
from rbee.scheduler.explaining import decided, explain, hive_of, sentence
from rbee.scheduler.memory import Estimate, completed, estimate, pooled, shared
from rbee.scheduler.place import dispensable, place, suits
from rbee.scheduler.recorded import Recorded, Snapshot, decide
from rbee.scheduler.room import gpu_free, idle_worker, ram_free
from rbee.scheduler.selectors import holds, selector
from rbee.scheduler.spread import shares_of
from rbee.scheduler.values import (
    Candidate,
    Decision,
    Failure,
    HiveView,
    IdleWorker,
    PlaceRequest,
    Reason,
    Refusal,
    Selector,
    Start,
    Use,
    Wait,
    Wish,
)

__all__ = [
    "Candidate",
    "Choice",
    "Decision",
    "Estimate",
    "Failure",
    "HiveView",
    "IdleWorker",
    "PlaceRequest",
    "Reason",
    "Recorded",
    "Refusal",
    "Selector",
    "Sight",
    "Snapshot",
    "Start",
    "Unsuitable",
    "Use",
    "Wait",
    "Wish",
    "as_seen",
    "blank",
    "choose",
    "completed",
    "corrected",
    "decide",
    "decided",
    "dispensable",
    "error_pct",
    "estimate",
    "estimates",
    "explain",
    "found",
    "gpu_free",
    "hive_of",
    "holds",
    "idle_worker",
    "learn",
    "peak_bytes",
    "place",
    "pooled",
    "ram_free",
    "selector",
    "sentence",
    "shared",
    "shares_of",
    "suits",
]
