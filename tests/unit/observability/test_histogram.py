"""Counts in buckets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rbee.observability.histogram import Histogram

BOUNDS = (0.1, 1.0, 5.0)
VALUES = st.lists(st.floats(0, 10, allow_nan=False) | st.sampled_from(BOUNDS), max_size=40)


@given(VALUES)
def test_each_bucket_tells_how_many_values_are_not_above_it(values: list[float]) -> None:
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)
    expected = [(str(bound), sum(value <= bound for value in values)) for bound in BOUNDS]
    assert histogram.cumulative() == [*expected, ("+Inf", len(values))]
    assert histogram.total == sum(values)


@given(st.floats(0, 10), st.integers(1, 1000))
def test_one_value_many_times_counts_as_often(value: float, times: int) -> None:
    many, one = Histogram(BOUNDS), Histogram(BOUNDS)
    many.observe_many(value, times)
    for _ in range(times):
        one.observe(value)
    assert many.cumulative() == one.cumulative()
    assert abs(many.total - one.total) <= 1e-6 * times


def test_a_copy_counts_no_further() -> None:
    histogram = Histogram(BOUNDS)
    histogram.observe(0.5)
    copy = histogram.copy()
    histogram.observe(0.5)
    assert copy.cumulative()[-1] == ("+Inf", 1)
    assert (copy.total, histogram.total) == (0.5, 1.0)
