"""What a vendor of a placement policy writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import msgspec


class WorkerView(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as a policy sees it.

    Attributes:
        worker_id: identity and last tie-break.
        hive_id: where it runs; None when unknown.
        gpu_pct: load of its device, 0 to 100; None when unknown or on a CPU.
        cpu_pct: load of its process, 100 is one core; None when unknown.
        slots_total: requests it serves at the same time; None when unknown.
        slots_free: of these, free ones less reservations; None when unknown.
        queue_depth: requests waiting inside it; None when unknown.
        latency_s: time to first token lately measured by the queen; None before the first request.
    """

    worker_id: str
    hive_id: str | None = None
    gpu_pct: float | None = None
    cpu_pct: float | None = None
    slots_total: int | None = None
    slots_free: int | None = None
    queue_depth: int | None = None
    latency_s: float | None = None


class Policy(ABC):
    """Orders workers that all could serve a request.  Pure: no clock, no randomness, no I/O, no state."""

    name: ClassVar[str]

    @abstractmethod
    def rank(self, workers: Sequence[WorkerView]) -> Sequence[WorkerView]:
        """The same workers, best first; equal input gives equal output whatever its order.

        Called on the queen's event loop for every request: linear in `workers`, which holds the model's workers
        alone and at least one.
        """
