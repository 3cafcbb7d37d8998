"""What the queen tells of her own choice in the story of a job."""

from __future__ import annotations

from rbee.contract.wire import JobEvent
from rbee.gateway import Queued
from rbee.jobs import narration
from rbee.scheduler import PlaceRequest, Start


def queued(name: str, place: Queued) -> JobEvent:
    """That a request waits for a slot.

    Args:
        name: as the request has it.
        place: where it is.
    """
    about = "" if place.expected_s is None else f", about {max(1, round(place.expected_s))} s"
    return narration(
        "queen", "queue", f"All slots for {name} are busy; place {place.position} in the queue{about}", name
    )


def for_room(request: PlaceRequest) -> JobEvent:
    """That there is no room for a model until other workers' requests have ended.

    Args:
        request: for the model.
    """
    name = request.variants[0].name
    return narration("queen", "queue", f"Waiting for room for {name}: workers that would make it are busy", name)


def choosing(name: str, start: Start) -> JobEvent:
    """What was chosen for a name, and why, in one sentence.

    Args:
        name: as the request has it.
        start: the decision.
    """
    why = f": {start.because[-1]}" if start.because else ""
    human = f"{name} is {start.model_id}, with {start.engine} on {start.device} of {start.hive_id}{why}"
    return narration("queen", "choose", human, start.model_id)
