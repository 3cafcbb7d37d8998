"""A fleet and a load on simulated time: the same decisions as a colony's, for machines that nobody here owns."""

from rbee.simulation.colony import Colony
from rbee.simulation.fleet import Compute, Fleet, Gpu, HiveGroup
from rbee.simulation.load import Arrivals, Key, Length, Load, ModelLoad, Prefixes, Sessions
from rbee.simulation.measuring import KeyOutcome, Outcome, Spread
from rbee.simulation.random_policy import RandomPolicy
from rbee.simulation.reading import check_together, read_fleet, read_load, read_recorded
from rbee.simulation.requests import Recorded, Request, Requests
from rbee.simulation.simulate import Simulated, simulate

__all__ = [
    "Arrivals",
    "Colony",
    "Compute",
    "Fleet",
    "Gpu",
    "HiveGroup",
    "Key",
    "KeyOutcome",
    "Length",
    "Load",
    "ModelLoad",
    "Outcome",
    "Prefixes",
    "RandomPolicy",
    "Recorded",
    "Request",
    "Requests",
    "Sessions",
    "Simulated",
    "Spread",
    "check_together",
    "read_fleet",
    "read_load",
    "read_recorded",
    "simulate",
]
