"""Whoever has the fewest requests."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.contract.policy import Policy, RequestView, Scores, WorkerView


class LeastLoadedPolicy(Policy):
    """Fewest requests open there, those that wait inside included; then the one that was asked longest ago.

    The number of requests is compared, not their share of the slots: that is what routers which call it so do.  What a
    worker does not tell counts as none.
    """

    name = "least-loaded"

    def rank(self, workers: Sequence[WorkerView], request: RequestView) -> Sequence[WorkerView]:
        """See `Policy.rank`; the request is not looked at."""
        return sorted(workers, key=_key)

    def scores(self, workers: Sequence[WorkerView], request: RequestView) -> Scores:
        """See `Policy.scores`."""
        return {worker.worker_id: {"requests": _open(worker), "sent": worker.sent} for worker in workers}


def _key(worker: WorkerView) -> tuple[int, int, str]:
    return (_open(worker), worker.sent, worker.worker_id)


def _open(worker: WorkerView) -> int:
    running = 0
    if worker.slots_total is not None and worker.slots_free is not None:
        running = worker.slots_total - worker.slots_free
    return running + (worker.queue_depth or 0)
