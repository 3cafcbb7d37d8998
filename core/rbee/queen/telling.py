"""What the queen tells of her own choice in the story of a job."""

from __future__ import annotations

import time

from rbee.contract.wire import JobEvent
from rbee.queen.names import Resolved
from rbee.scheduler import Start


def choosing(name: str, found: Resolved, start: Start) -> JobEvent:
    """What was chosen for a name, and why, in one sentence.

    Args:
        name: as the request has it.
        found: what it means.
        start: the decision.
    """
    alias = "" if found.name == name else f" (the alias of {found.name})"
    why = f": {start.because[-1]}" if start.because else ""
    human = f"{name}{alias} is {start.model_id}, with {start.engine} on {start.device} of {start.hive_id}{why}"
    return JobEvent(
        type="narration",
        job_id="",
        emitted_at_ms=int(time.time() * 1000),
        actor="queen",
        action="choose",
        target=start.model_id,
        human=human,
        formatted=f"[{'queen':<10}] {'choose':<18}: {human}",
    )
