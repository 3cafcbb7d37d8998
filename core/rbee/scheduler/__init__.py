"""The decision where a request goes and where a model is loaded: pure functions over frozen values."""

from rbee.scheduler.artefacts import Choice, Unsuitable, choose, estimates
from rbee.scheduler.memory import Estimate, completed, estimate, shared
from rbee.scheduler.place import place
from rbee.scheduler.values import (
    Candidate,
    Decision,
    Failure,
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
    "Choice",
    "Decision",
    "Estimate",
    "Failure",
    "HiveView",
    "IdleWorker",
    "PlaceRequest",
    "Reason",
    "Refusal",
    "Start",
    "Unsuitable",
    "Use",
    "Wait",
    "choose",
    "completed",
    "estimate",
    "estimates",
    "place",
    "shared",
]
