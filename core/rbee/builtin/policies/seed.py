"""The order that the design's first documents ask for."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.contract.policy import Policy, RequestView, Scores, WorkerView

_UNKNOWN_LATENCY_S = 0.0


class SeedPolicy(Policy):
    """Lowest GPU load, then most free slots, then lowest measured latency, then the worker's name.

    GPU load counts in steps of ten per cent: finer differences between two samples are noise, and following them
    would send every request of a second to the same worker.  An unknown load counts as none, and a worker without a
    measurement goes before measured ones, so that it gets one.
    """

    name = "seed"

    def rank(self, workers: Sequence[WorkerView], request: RequestView) -> Sequence[WorkerView]:
        """See `Policy.rank`; the request is not looked at."""
        if len(workers) == 1:
            return workers
        return sorted(workers, key=_key)

    def scores(self, workers: Sequence[WorkerView], request: RequestView) -> Scores:
        """See `Policy.scores`."""
        found = {}
        for worker in workers:
            load, free, latency, _ = _key(worker)
            found[worker.worker_id] = {"load_tenths": load, "slots_free": -free, "latency_s": latency}
        return found


def _key(worker: WorkerView) -> tuple[int, int, float, str]:
    load = 0 if worker.gpu_pct is None else int(worker.gpu_pct // 10)
    free = 0 if worker.slots_free is None else worker.slots_free
    latency = _UNKNOWN_LATENCY_S if worker.latency_s is None else worker.latency_s
    return (load, -free, latency, worker.worker_id)
