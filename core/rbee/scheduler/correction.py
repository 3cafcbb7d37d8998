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


def reserves(sight: Sight) -> tuple[int, int]:
    """What would have had to be added to a worker's estimate: at least, and at most, within bounds.

    The two differ where less was used than estimated: what has not been in use of the cache may come to be.

    Returns:
        Of a worker without an estimate, its peak twice.
    """
    need, peak = sight.estimate, sight.peak_bytes
    if need.total_bytes is None:
        return peak, peak
    if peak >= need.total_bytes:
        extra = min(peak - need.total_bytes, max(need.total_bytes, MOST_BESIDE))
        return extra, extra
    # Of a rough estimate nobody knows what is the cache: all beside the weights may be.
    cache = need.cache_bytes if need.cache_bytes is not None else _beside(need)
    unseen = int(cache * (1 - min(1.0, max(0.0, sight.filled))))
    least, most = (min(0, max(used, _least(need)) - need.total_bytes) for used in (peak, peak + unseen))
    return least, most


def learn(before: LearnedMemory | None, identity: LearnedMemory, sight: Sight, *, over: bool) -> LearnedMemory:
    """What is known once a worker was seen.

    What is known stays where the sight agrees with it.  More counts at once.  Less counts when nothing was known, and
    else in part and once a worker's life is over: until then it may still come to need it.

    Args:
        before: what was known of the same model, engine, backend and machine; None for nothing.
        identity: names and times of what is seen; its numbers are not looked at.
        sight: of the worker.
        over: its process has ended.
    """
    need = sight.estimate
    least, most = reserves(sight)
    reserve, basis = most, _beside(need)
    # What is added to an estimate is not compared with what stands for one.
    if before is not None and (before.estimate_bytes is None) == (need.total_bytes is None):
        known = before.reserve_bytes if need.total_bytes is None else _applied(need, before)
        if least <= known <= most or (known > most and not over):
            reserve, basis = before.reserve_bytes, before.basis_bytes
        elif known > most:
            reserve = known + round(DOWN * (most - known))
        else:
            reserve = least
    return msgspec.structs.replace(
        identity,
        reserve_bytes=reserve,
        basis_bytes=basis,
        peak_bytes=sight.peak_bytes,
        estimate_bytes=need.total_bytes,
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
    reserve = _applied(need, seen)
    total = need.total_bytes + reserve
    return msgspec.structs.replace(
        need, total_bytes=total, reserve_bytes=reserve, seen=seen, because=because if reserve else ""
    )


def as_seen(
    need: Estimate, learned: Sequence[LearnedMemory], model_id: str, engine: str, backend: str, hive_id: str
) -> Estimate:
    """The estimate for a worker with what fits it of all that was learned."""
    return corrected(need, found(learned, model_id, engine, backend, hive_id), hive_id) if learned else need


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
    engine_version: str | None = None,
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
        engine_version=engine_version,
    )


def _applied(need: Estimate, seen: LearnedMemory) -> int:
    """What is added to an estimate that there is, by what was learned of others."""
    total = need.total_bytes or 0
    reserve = seen.reserve_bytes if seen.estimate_bytes is not None else seen.peak_bytes - total
    if reserve >= 0:
        return min(reserve, max(total, MOST_BESIDE))
    share = min(1.0, _beside(need) / seen.basis_bytes) if seen.basis_bytes else 0.0
    return min(0, max(int(reserve * share), _least(need) - total))


def _least(need: Estimate) -> int:
    return (need.weights_bytes or 0) + LEAST_BESIDE


def _beside(need: Estimate) -> int:
    """What is estimated beside the weights."""
    return max(0, (need.total_bytes or 0) - (need.weights_bytes or 0))
