"""What a worker that runs was thought to need: the estimate for what it has loaded, before anything was learned."""

from __future__ import annotations

from rbee.contract.devices import device_ids
from rbee.queen.held import HeldIndex
from rbee.scheduler import Estimate, estimate
from rbee.telemetry import WorkerEntry


class Needs:
    """Makes estimates for workers.

    Args:
        held: what lies on the disks, with its figures.
    """

    def __init__(self, held: HeldIndex) -> None:
        self._held = held

    def of(self, entry: WorkerEntry) -> Estimate | None:
        """The estimate for a worker's model with its own context and slots; None while its files are not known."""
        if entry.model_id is None or entry.hive_id is None:
            return None
        there = self._held.on(entry.hive_id).get(entry.model_id)
        variant = there or next(iter(self._held.holders(entry.model_id).values()), None)
        if variant is None:
            return None
        plain = estimate(variant, entry.context_length, entry.slots_total or 1)
        return plain.over(len(device_ids(entry.device)))
