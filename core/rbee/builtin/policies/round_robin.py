"""Each in its turn."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.contract.policy import Policy, RequestView, Scores, WorkerView


class RoundRobinPolicy(Policy):
    """Whoever has waited longest for a request, whatever else is known of him; the worker's name between equals."""

    name = "round-robin"

    def rank(self, workers: Sequence[WorkerView], request: RequestView) -> Sequence[WorkerView]:
        """See `Policy.rank`; the request is not looked at."""
        return sorted(workers, key=_key)

    def scores(self, workers: Sequence[WorkerView], request: RequestView) -> Scores:
        """See `Policy.scores`."""
        return {worker.worker_id: {"sent": worker.sent} for worker in workers}


def _key(worker: WorkerView) -> tuple[int, str]:
    return (worker.sent, worker.worker_id)
