"""A load on a fleet with one policy after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from rbee.contract.policy import Policy
from rbee.scheduler.memory import DEFAULT_CONTEXT
from rbee.settings import Settings
from rbee.simulation.colony import Colony, run
from rbee.simulation.fleet import Fleet
from rbee.simulation.load import Load
from rbee.simulation.measuring import Outcome
from rbee.simulation.requests import Recorded, Requests


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        outcome: the same for equal input.
        hives: of the fleet.
        workers: at the end.
        wall_s: seconds that it took.
        decisions_s: decisions a second of the time that deciding took, the views that they are made from included.
    """

    outcome: Outcome
    hives: int
    workers: int
    wall_s: float
    decisions_s: float


def simulate(
    fleet: Fleet,
    load: Load,
    policy: Policy,
    settings: Settings,
    seed: int = 0,
    recorded: Sequence[Recorded] = (),
    progress: Callable[[float], None] | None = None,
) -> Simulated:
    """What would become of a load.

    Args:
        fleet: the machines.
        load: what is asked of them.
        policy: orders workers.
        settings: of the colony.
        seed: of all dice.
        recorded: the arrivals, where the load names a recording.
        progress: told the simulated seconds now and then.

    Raises:
        InvalidRequestError: a worker of the fleet does not fit its machine.
    """
    started = time.perf_counter()
    requests = Requests(load, seed, settings.worker.context_length or DEFAULT_CONTEXT, recorded)
    colony = Colony(fleet, load, iter(requests), policy, settings, seed)
    outcome = run(colony, progress)
    return Simulated(
        outcome=outcome,
        hives=len(colony.machines),
        workers=sum(len(machine.workers) for machine in colony.machines.values()),
        wall_s=time.perf_counter() - started,
        decisions_s=outcome.decisions / colony.deciding_s if colony.deciding_s else 0.0,
    )
