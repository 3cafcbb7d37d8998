"""The decision where a request goes and where a model is loaded: pure functions over frozen values."""

from rbee.scheduler.place import place
from rbee.scheduler.values import (
    Candidate,
    Decision,
    HiveView,
    IdleWorker,
    PlaceRequest,
    Reason,
    Refusal,
    Start,
    Use,
    Wait,
)

__all__ = [
    "Candidate",
    "Decision",
    "HiveView",
    "IdleWorker",
    "PlaceRequest",
    "Reason",
    "Refusal",
    "Start",
    "Use",
    "Wait",
    "place",
]
