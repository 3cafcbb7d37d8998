"""What follows from what was seen of workers' memory."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract import Backend
from rbee.contract.wire import LearnedMemory, ProcessStats
from rbee.scheduler import Estimate, Sight, blank, corrected, error_pct, found, learn, peak_bytes
from rbee.scheduler.correction import LEAST_BESIDE, MOST_BESIDE, reserves

MIB, GIB = 2**20, 2**30
WHEN = datetime(2026, 1, 2, tzinfo=UTC)
NAMED = blank("m", "e", "cpu", "h", WHEN, context_length=8192, slots=1)


def need(
    weights: int = GIB, cache: int | None = 512 * MIB, overhead: int = 128 * MIB, total: int | None = None
) -> Estimate:
    return Estimate(
        weights_bytes=weights,
        cache_bytes=cache,
        overhead_bytes=overhead,
        total_bytes=weights + (cache or 0) + overhead if total is None else total,
        rough=cache is None,
        context_length=8192,
        slots=1,
    )


UNKNOWN = Estimate(
    weights_bytes=None, cache_bytes=None, overhead_bytes=None, total_bytes=None, rough=True, context_length=1, slots=1
)


def taught(
    peak: int, estimate: Estimate | None = None, before: LearnedMemory | None = None, **more: float
) -> LearnedMemory:
    return learn(before, NAMED, Sight(estimate=estimate or need(), peak_bytes=peak, **more), over=True)


def total(estimate: Estimate, seen: LearnedMemory | None) -> int:
    made = corrected(estimate, seen, "h").total_bytes
    assert made is not None
    return made


def test_nothing_learned_changes_nothing() -> None:
    assert corrected(need(), None, "h") is not None
    assert corrected(need(), None, "h") == need()


def test_what_was_needed_beyond_the_estimate_is_added_at_any_context() -> None:
    seen = taught(2 * GIB)
    extra = 2 * GIB - (need().total_bytes or 0)
    assert (seen.reserve_bytes, seen.peak_bytes, seen.estimate_bytes) == (extra, 2 * GIB, need().total_bytes)
    assert total(need(), seen) == 2 * GIB
    large = need(cache=4 * GIB)
    assert total(large, seen) == (large.total_bytes or 0) + extra


def test_the_words_say_where_it_was_seen() -> None:
    seen = taught(2 * GIB)
    assert corrected(need(), seen, "h").because == "as it did here before"
    assert corrected(need(), seen, "other").because == "as it did on h before"
    exact = taught(need().total_bytes or 0)
    assert corrected(need(), exact, "h").because == "", "it says what the estimate says"


def test_a_cache_that_was_not_in_use_yet_is_not_taken_for_unneeded() -> None:
    # The weights, 60 MiB for the process, and of 512 MiB of cache nothing so far.
    at_ready = GIB + 64 * MIB
    assert taught(at_ready).reserve_bytes == -64 * MIB, "only what the overhead was too much"
    assert taught(at_ready + 128 * MIB, filled=0.25).reserve_bytes == -64 * MIB
    assert taught(at_ready + 128 * MIB, filled=1.0).reserve_bytes == -448 * MIB, "a cache that is smaller than thought"


def test_less_than_the_weights_is_never_believed() -> None:
    assert total(need(), taught(300 * MIB, filled=1.0)) == GIB + LEAST_BESIDE


def test_a_reserve_below_zero_shrinks_with_what_is_estimated_beside_the_weights() -> None:
    seen = taught(GIB + 320 * MIB, filled=1.0)
    assert seen.reserve_bytes == -320 * MIB
    half = need(cache=192 * MIB)
    assert total(half, seen) == (half.total_bytes or 0) - 160 * MIB
    large = need(cache=8 * GIB)
    assert total(large, seen) == (large.total_bytes or 0) - 320 * MIB, "of a larger one no more than was seen"


def test_more_counts_at_once_and_less_in_part_once_a_life_is_over() -> None:
    high, low = Sight(estimate=need(), peak_bytes=3 * GIB), Sight(estimate=need(), peak_bytes=2 * GIB)
    first = learn(None, NAMED, low, over=False)
    raised = learn(first, NAMED, high, over=False)
    assert (first.reserve_bytes, raised.reserve_bytes) == (384 * MIB, 1408 * MIB)
    assert learn(raised, NAMED, low, over=False).reserve_bytes == 1408 * MIB
    lowered = learn(raised, NAMED, low, over=True)
    assert lowered.reserve_bytes == 1408 * MIB - GIB // 4
    assert lowered.peak_bytes == 2 * GIB, "what is told is what was seen last"


def test_a_worker_that_says_nothing_against_what_is_known_changes_nothing() -> None:
    seen = taught(GIB + 320 * MIB, filled=1.0)
    # Of four times the cache hardly anything was used: it may be less than estimated, or not.
    wide = need(cache=2 * GIB)
    again = taught(GIB + 340 * MIB, wide, seen)
    assert (again.reserve_bytes, again.basis_bytes) == (seen.reserve_bytes, seen.basis_bytes)
    assert (again.peak_bytes, again.estimate_bytes) == (GIB + 340 * MIB, wide.total_bytes)
    more = taught(3 * GIB + 100 * MIB, wide, seen)
    assert more.reserve_bytes == -28 * MIB, "so much it has needed at least"


def test_a_leak_is_no_need() -> None:
    assert taught(100 * GIB).reserve_bytes == need().total_bytes
    tiny = need(weights=8 * MIB, cache=MIB)
    assert taught(100 * GIB, tiny).reserve_bytes == MOST_BESIDE


def test_of_a_model_without_figures_the_peak_is_all_that_is_known() -> None:
    seen = taught(GIB, UNKNOWN)
    assert (seen.reserve_bytes, seen.estimate_bytes) == (GIB, None)
    made = corrected(UNKNOWN, seen, "h")
    assert (made.total_bytes, made.because) == (GIB, "as it did here before")
    assert total(UNKNOWN, taught(GIB // 2, UNKNOWN, seen)) == GIB - GIB // 8
    # Its figures have been read meanwhile.
    assert total(need(), seen) == need().total_bytes
    assert taught(2 * GIB, before=seen).reserve_bytes == 384 * MIB
    assert total(UNKNOWN, taught(2 * GIB)) == 2 * GIB


def test_what_was_learned_on_the_machine_comes_before_what_was_learned_elsewhere() -> None:
    here, there, worse = (
        msgspec.structs.replace(NAMED, hive_id=hive_id, reserve_bytes=reserve)
        for hive_id, reserve in (("h", 1), ("i", 5), ("j", 7))
    )
    assert found((there, here, worse), "m", "e", "cpu", "h") is here
    assert found((there, here, worse), "m", "e", "cpu", "k") is worse
    for other in (("n", "e", "cpu"), ("m", "f", "cpu"), ("m", "e", "cuda")):
        assert found((here,), *other, "h") is None


def test_the_error_is_told_in_per_cent_of_the_peak() -> None:
    assert error_pct(taught(2 * GIB)) == pytest.approx(-18.8)
    assert error_pct(taught(GIB, UNKNOWN)) is None
    assert error_pct(NAMED) is None


@pytest.mark.parametrize(
    ("backend", "figures", "peak"),
    [
        (Backend.CPU, {"rss_peak_mb": 300}, 300),
        (Backend.METAL, {"rss_peak_mb": 300}, 300),
        (Backend.METAL, {"rss_peak_mb": 300, "vram_peak_mb": 500}, 500),
        (Backend.CUDA, {"rss_peak_mb": 300, "vram_peak_mb": 500}, 500),
        (Backend.CUDA, {"rss_peak_mb": 300}, None),
        (Backend.CPU, {}, None),
        (Backend.CPU, {"rss_peak_mb": 0}, None),
    ],
)
def test_the_memory_of_its_device_counts(backend: str, figures: dict[str, int], peak: int | None) -> None:
    sample = ProcessStats(pid=1, worker_id="w", **figures)  # type: ignore[arg-type]
    assert peak_bytes(sample, backend) == (None if peak is None else peak * MIB)


_SIZES = st.integers(0, 1 << 40)
_ESTIMATES = st.builds(need, weights=_SIZES, cache=_SIZES, overhead=st.integers(128 * MIB, 1 << 36))
_SIGHTS = st.builds(Sight, estimate=_ESTIMATES, peak_bytes=st.integers(1, 1 << 42), filled=st.floats(-1, 2))


@given(st.lists(_SIGHTS, min_size=1, max_size=8), _ESTIMATES, st.booleans())
def test_a_correction_stays_between_the_weights_and_twice_the_estimate(
    sights: list[Sight], estimate: Estimate, over: bool
) -> None:
    seen: LearnedMemory | None = None
    for one in sights:
        seen = learn(seen, NAMED, one, over=over)
    made, plain = total(estimate, seen), estimate.total_bytes or 0
    assert min(plain, (estimate.weights_bytes or 0) + LEAST_BESIDE) <= made <= max(2 * plain, plain + MOST_BESIDE)
    assert corrected(estimate, seen, "h").reserve_bytes == made - plain


@given(_SIGHTS, st.one_of(st.none(), _SIGHTS))
def test_what_a_worker_has_used_is_given_to_the_next_one(sight: Sight, earlier: Sight | None) -> None:
    before = None if earlier is None else learn(None, NAMED, earlier, over=True)
    again = total(sight.estimate, learn(before, NAMED, sight, over=False))
    plain = sight.estimate.total_bytes or 0
    assert again >= min(sight.peak_bytes, max(2 * plain, plain + MOST_BESIDE))


@given(_SIGHTS, st.integers(0, 1 << 41))
def test_who_has_used_more_has_no_smaller_reserve(sight: Sight, more: int) -> None:
    larger = msgspec.structs.replace(sight, peak_bytes=sight.peak_bytes + more)
    for more_of, less_of in zip(reserves(larger), reserves(sight), strict=True):
        assert more_of >= less_of
    least, most = reserves(sight)
    assert least <= most
