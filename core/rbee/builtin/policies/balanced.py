"""The default policy: where the answer is expected to end first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log

from rbee.contract.policy import Policy, RequestView, Scores, WorkerView

_PREFILL_TOK_S = 500.0
_DECODE_TOK_S = 30.0
"""Of workers of which nothing is measured when nothing is measured of any: among equals it does not matter which."""

_PROMPT_TOKENS = 256
_ANSWER_TOKENS = 256
"""Of a request that does not tell.  A bound on the answer is no forecast: beyond this it is not believed."""

_STICKY = 0.85
"""A session's last worker may be this much slower before another one is better: its cache is likely still there."""

_SLOWEST = 0.01
"""Tokens a second, at the least: a measurement may come out as nothing."""

_STEPS = 20.0
"""Of expected seconds, as many as differ by e: what differs by less than a twentieth counts as equal."""
_LEAST_S = 1e-6

_Parts = tuple[float, float, float, float]
"""Seconds for the prompt, for the answer and for those that wait inside; and by what all is multiplied."""


class BalancedPolicy(Policy):
    """The least seconds until the answer would be complete, from the speeds that were measured.

    Seconds for the part of the prompt that the worker has not computed lately, at its prefill speed; plus seconds for
    the answer at the speed that one more answer would get there; plus the same for each request that waits inside,
    shared among its slots.  So a laptop and a large GPU get shares by what they can do, a warm cache counts for what it
    saves, and load outweighs both when it is worse.

    A worker without a measurement counts as the quickest of the others, so that it gets one; its load is then counted
    by the slots that are taken.  Equals are taken in turn.
    """

    name = "balanced"

    def rank(self, workers: Sequence[WorkerView], request: RequestView) -> Sequence[WorkerView]:
        """See `Policy.rank`."""
        if len(workers) == 1:
            return workers
        keys = []
        # One loop and plain tuples: a queen of thousands of workers spends her time here.
        for index, (worker, parts) in enumerate(zip(workers, _parts(workers, request), strict=True)):
            prefill_s, decode_s, waiting_s, sticky = parts
            expected_s = (prefill_s + decode_s + waiting_s) * sticky
            load = worker.gpu_pct
            keys.append(
                (
                    log(expected_s if expected_s > _LEAST_S else _LEAST_S) * _STEPS // 1,  # noqa: FURB136  # max() is slow
                    0.0 if load is None else load // 10,
                    -(worker.slots_free or 0),
                    worker.sent,
                    worker.worker_id,
                    index,
                )
            )
        keys.sort()
        return [workers[key[5]] for key in keys]

    def scores(self, workers: Sequence[WorkerView], request: RequestView) -> Scores:
        """See `Policy.scores`."""
        found = {}
        for worker, parts in zip(workers, _parts(workers, request), strict=True):
            prefill_s, decode_s, waiting_s, sticky = parts
            found[worker.worker_id] = {
                "prefill_s": prefill_s,
                "decode_s": decode_s,
                "waiting_s": waiting_s,
                "sticky": sticky,
                "expected_s": (prefill_s + decode_s + waiting_s) * sticky,
            }
        return found


def _parts(workers: Sequence[WorkerView], request: RequestView) -> Iterator[_Parts]:
    """The parts of what is expected of each worker."""
    quickest_prefill = _quickest([one.prefill_tok_s for one in workers], _PREFILL_TOK_S)
    quickest_decode = _quickest([one.decode_tok_s for one in workers], _DECODE_TOK_S)
    prompt = _PROMPT_TOKENS if request.prompt_tokens is None else request.prompt_tokens
    answer = _ANSWER_TOKENS if request.max_tokens is None else max(1, min(request.max_tokens, _ANSWER_TOKENS))
    for worker in workers:
        prefill, decode = worker.prefill_tok_s, worker.decode_tok_s
        if decode is None:
            # What was measured was measured beside the load of the moment; what is assumed has to be shared.
            total, free = worker.slots_total, worker.slots_free
            busy = (total - free) / total if total and free is not None and free < total else 0.0
            decode = quickest_decode / (1 + busy)
        if prefill is None:
            prefill = quickest_prefill
        decode_s = answer / (decode if decode > _SLOWEST else _SLOWEST)  # noqa: FURB136  # max() is slow
        queued = worker.queue_depth
        yield (
            prompt * (1 - worker.affinity) / (prefill if prefill > _SLOWEST else _SLOWEST),  # noqa: FURB136  # likewise
            decode_s,
            decode_s * queued / (worker.slots_total or 1) if queued else 0.0,
            _STICKY if worker.sticky else 1.0,
        )


def _quickest(measured: Sequence[float | None], otherwise: float) -> float:
    return max([speed for speed in measured if speed is not None], default=otherwise)
