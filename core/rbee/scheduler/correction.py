"""What was seen of workers' memory, and what follows for the estimate of the next one: pure arithmetic.

An estimate knows the weights and the cache well; what an engine takes besides it can only guess.  So the difference to
what was seen is kept in bytes, as a reserve that is added: what an engine holds besides stays about the same when the
context changes.  Where less was seen than estimated, as where a cache is smaller than the model's figures say, the
reserve is below 0 and shrinks with what is estimated beside the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from rbee.contract.types import Backend
from rbee.contract.wire import LearnedMemory, ProcessStats
from rbee.scheduler.memory import Estimate

_MIB = 1024 * 1024

LEAST_BESIDE = 64 * _MIB
"""No worker needs less than this and its weights, whatever was seen: weights that are mapped may not all be touched."""

MOST_BESIDE = 1024 * _MIB
"""A reserve is at most the estimate once more, or this where that is more: a leak is no need."""

DOWN = 0.25
"""Weight of a worker that needed less than those before it.  One that needs more counts at once."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """One worker as it was seen.

    Attributes:
        estimate: what it was thought to need, without any reserve.
        peak_bytes: the most that it has used.
        filled: how much of its cache has been in use, from 0 to 1, as far as is known: what an engine takes only when
            it is needed has not been seen before.
    """

    estimate: Estimate
    peak_bytes: int
    filled: float = 0.0


def peak_bytes(sample: ProcessStats, backend: str) -> int | None:
    """The most that a worker has used of its device's memory; None when unknown.

    Args:
        sample: of its process.
        backend: how its device is driven: without memory of its own, what is resident counts.
    """
    of_process = backend in {Backend.CPU, Backend.METAL}
    peak = sample.rss_peak_mb if sample.vram_peak_mb is None and of_process else sample.vram_peak_mb
    return peak * _MIB if peak else None


def reserve_of(sight: Sight) -> int:
    """What would have had to be added to a worker's estimate, within bounds.

    Below 0 only as far as the peak, with all of the cache that has not been in use yet, is below the estimate.
    """
    need = sight.estimate
    if need.total_bytes is None:
        return sight.peak_bytes
    if sight.peak_bytes >= need.total_bytes:
        return min(sight.peak_bytes - need.total_bytes, max(need.total_bytes, MOST_BESIDE))
    # Of a rough estimate nobody knows what is the cache: all beside the weights may be.
    cache = need.cache_bytes if need.cache_bytes is not None else need.total_bytes - (need.weights_bytes or 0)
    unseen = int(cache * (1 - min(1.0, max(0.0, sight.filled))))
    return min(0, max(sight.peak_bytes + unseen, _least(need)) - need.total_bytes)


def learn(before: LearnedMemory | None, identity: LearnedMemory, sight: Sight, *, over: bool) -> LearnedMemory:
    """What is known once a worker was seen.

    More than was known counts at once.  Less counts when nothing was known, and else in part and once a worker's life
    is over: until then it may still come to need it.

    Args:
        before: what was known of the same model, engine, backend and machine; None for nothing.
        identity: names and times of what is seen; its numbers are not looked at.
        sight: of the worker.
        over: its process has ended.
    """
    reserve, basis = reserve_of(sight), _beside(sight.estimate)
    if before is not None and (before.estimate_bytes is None) != (sight.estimate.total_bytes is None):
        # The one is added to an estimate, the other stands for it.
        before = None
    if before is not None and reserve < before.reserve_bytes:
        reserve = before.reserve_bytes + round(DOWN * (reserve - before.reserve_bytes) if over else 0)
        # One that grows with what is estimated, and one that was learned of a smaller estimate.
        basis = max(basis, before.basis_bytes) if before.reserve_bytes < 0 else basis
    return msgspec.structs.replace(
        identity,
        reserve_bytes=reserve,
        basis_bytes=basis,
        peak_bytes=sight.peak_bytes,
        estimate_bytes=sight.estimate.total_bytes,
    )


def found(
    learned: Sequence[LearnedMemory], model_id: str, engine: str, backend: str, hive_id: str
) -> LearnedMemory | None:
    """What was learned on the machine, else on the one where the most had to be added; None for nothing."""
    fitting = [one for one in learned if (one.model_id, one.engine, one.backend) == (model_id, engine, backend)]
    here = next((one for one in fitting if one.hive_id == hive_id), None)
    return here or max(fitting, key=lambda one: (one.reserve_bytes, one.hive_id), default=None)


def corrected(need: Estimate, seen: LearnedMemory | None, hive_id: str) -> Estimate:
    """The estimate with what was learned.

    Args:
        need: without any reserve.
        seen: None where nothing was learned.
        hive_id: where it is to run, for the words.
    """
    if seen is None:
        return need
    because = f"as it did {'here' if seen.hive_id == hive_id else f'on {seen.hive_id}'} before"
    if need.total_bytes is None:
        # Nothing is known of the model but what its workers have used.
        total = seen.reserve_bytes if seen.estimate_bytes is None else seen.peak_bytes
        return msgspec.structs.replace(need, total_bytes=total, seen=seen, because=because)
    reserve = seen.reserve_bytes if seen.estimate_bytes is not None else seen.peak_bytes - need.total_bytes
    if reserve < 0:
        reserve = int(reserve * min(1.0, _beside(need) / seen.basis_bytes)) if seen.basis_bytes else 0
        reserve = min(0, max(reserve, _least(need) - need.total_bytes))
    else:
        reserve = min(reserve, max(need.total_bytes, MOST_BESIDE))
    total = need.total_bytes + reserve
    return msgspec.structs.replace(
        need, total_bytes=total, reserve_bytes=reserve, seen=seen, because=because if reserve else ""
    )


def error_pct(seen: LearnedMemory) -> float | None:
    """How far the estimate for the last worker was off, in per cent of its peak; above 0 for too much."""
    if seen.estimate_bytes is None or not seen.peak_bytes:
        return None
    return round(100 * (seen.estimate_bytes - seen.peak_bytes) / seen.peak_bytes, 1)


def blank(
    model_id: str,
    engine: str,
    backend: str,
    hive_id: str,
    observed_at: datetime,
    *,
    context_length: int | None = None,
    slots: int | None = None,
) -> LearnedMemory:
    """The names and times of something that is about to be learned."""
    return LearnedMemory(
        model_id=model_id,
        engine=engine,
        backend=backend,
        hive_id=hive_id,
        reserve_bytes=0,
        basis_bytes=0,
        peak_bytes=0,
        estimate_bytes=None,
        context_length=context_length,
        slots=slots,
        observed_at=observed_at,
    )


def _least(need: Estimate) -> int:
    return (need.weights_bytes or 0) + LEAST_BESIDE


def _beside(need: Estimate) -> int:
    """What is estimated beside the weights."""
    return max(0, (need.total_bytes or 0) - (need.weights_bytes or 0))
