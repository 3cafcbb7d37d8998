"""Whoever has the most memory left."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.contract.policy import Policy, RequestView, Scores, WorkerView


class MostVramFreePolicy(Policy):
    """Most memory left on the worker's GPU, then most free slots, then the one that was asked longest ago.

    For colonies whose GPUs are shared with other work.  Workers whose GPU tells nothing come after those that tell.
    """

    name = "most-vram-free"

    def rank(self, workers: Sequence[WorkerView], request: RequestView) -> Sequence[WorkerView]:
        """See `Policy.rank`; the request is not looked at."""
        return sorted(workers, key=_key)

    def scores(self, workers: Sequence[WorkerView], request: RequestView) -> Scores:
        """See `Policy.scores`."""
        found = {}
        for worker in workers:
            known = {} if worker.vram_free_mb is None else {"vram_free_mb": float(worker.vram_free_mb)}
            found[worker.worker_id] = {**known, "slots_free": worker.slots_free or 0}
        return found


def _key(worker: WorkerView) -> tuple[bool, int, int, int, str]:
    vram = worker.vram_free_mb
    return (vram is None, -(vram or 0), -(worker.slots_free or 0), worker.sent, worker.worker_id)
