"""A reserved slot at a worker."""

from __future__ import annotations

from collections.abc import Callable

from rbee.gateway import Lease, Outcome, Target
from rbee.telemetry import WorkerEntry


class WorkerLease(Lease):
    """A reserved slot.

    Attributes:
        model_id: canonical name of the worker's model.
        url: at which the worker is called.
        capabilities: of the worker, None when it has not told.

    Args:
        entry: the worker.
        model_id: canonical name of its model.
        keep_alive_s: how long the model is to stay after the request, as that said; None for nothing.
        url: at which it is called.
        target: the same, for the relay.
        finished: told once that the request has ended, and how.
        among: how many workers the model has.
        policy: name of what chose among them.
    """

    model_id: str

    def __init__(
        self,
        entry: WorkerEntry,
        model_id: str,
        keep_alive_s: float | None,
        url: str,
        target: Target,
        finished: Callable[[WorkerLease, Outcome], None],
        among: int,
        policy: str,
    ) -> None:
        self.worker_id = entry.worker_id
        self.hive_id = entry.hive_id
        # The request itself is reserved for already.
        self.beside = max(0, entry.reserved + entry.external - 1)
        self.model_id = model_id
        self.keep_alive_s = keep_alive_s
        self.url = url
        self.capabilities = entry.capabilities
        self.target = target
        self._finished = finished
        self._among = among
        self._policy = policy
        self.lost: Callable[[], None] | None = None

    @property
    def reason(self) -> str:  # type: ignore[override]  # made only for those who may see it
        """See `Lease`."""
        if self._among == 1:
            return "the only worker that serves the model"
        return f"first of {self._among} workers of the model by policy {self._policy!r}"

    def watch(self, lost: Callable[[], None]) -> None:
        """See `Lease.watch`."""
        self.lost = lost

    def finish(self, outcome: Outcome) -> None:
        """Give the slot back; a worker that was not reached gets nothing more until it has spoken."""
        self._finished(self, outcome)
