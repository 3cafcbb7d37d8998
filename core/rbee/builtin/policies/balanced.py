"""The default policy: where the answer is expected to end first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

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
        return sorted(workers, key=_key(request, _speeds(workers)))

    def scores(self, workers: Sequence[WorkerView], request: RequestView) -> Scores:
        """See `Policy.scores`."""
        speeds = _speeds(workers)
        found = {}
        for worker in workers:
            parts = _parts(worker, request, speeds)
            found[worker.worker_id] = {**parts._asdict(), "expected_s": parts.expected_s}
        return found


class _Speeds(NamedTuple):
    """Of a worker without a measurement."""

    prefill: float
    decode: float


class _Parts(NamedTuple):
    """Seconds."""

    prefill_s: float
    decode_s: float
    waiting_s: float
    sticky: float

    @property
    def expected_s(self) -> float:
        return (self.prefill_s + self.decode_s + self.waiting_s) * self.sticky


def _speeds(workers: Sequence[WorkerView]) -> _Speeds:
    return _Speeds(
        _quickest((worker.prefill_tok_s for worker in workers), _PREFILL_TOK_S),
        _quickest((worker.decode_tok_s for worker in workers), _DECODE_TOK_S),
    )


def _quickest(measured: Iterable[float | None], otherwise: float) -> float:
    return max((speed for speed in measured if speed is not None), default=otherwise)


def _parts(worker: WorkerView, request: RequestView, speeds: _Speeds) -> _Parts:
    total, free = worker.slots_total, worker.slots_free
    busy = 0.0 if not total or free is None else max(0, total - free) / total
    prefill = speeds.prefill if worker.prefill_tok_s is None else worker.prefill_tok_s
    # What was measured was measured beside the load of the moment; what is assumed has to be shared.
    decode = speeds.decode / (1 + busy) if worker.decode_tok_s is None else worker.decode_tok_s
    prompt = _PROMPT_TOKENS if request.prompt_tokens is None else request.prompt_tokens
    answer = _ANSWER_TOKENS if request.max_tokens is None else min(request.max_tokens, _ANSWER_TOKENS)
    decode_s = answer / max(decode, _SLOWEST)
    return _Parts(
        prefill_s=prompt * (1 - worker.affinity) / max(prefill, _SLOWEST),
        decode_s=decode_s,
        waiting_s=decode_s * (worker.queue_depth or 0) / max(1, total or 1),
        sticky=_STICKY if worker.sticky else 1.0,
    )


def _key(request: RequestView, speeds: _Speeds) -> Callable[[WorkerView], tuple[float, float, int, int, str]]:
    def key(worker: WorkerView) -> tuple[float, float, int, int, str]:
        parts = _parts(worker, request, speeds)
        return (
            float(f"{parts.expected_s:.2g}"),
            0.0 if worker.gpu_pct is None else worker.gpu_pct // 10,
            -(worker.slots_free or 0),
            worker.sent,
            worker.worker_id,
        )

    return key
