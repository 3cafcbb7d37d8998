"""What is counted, and how."""

from __future__ import annotations

import pytest
from rbee.gateway import Traits
from rbee.simulation.measuring import Measure
from rbee.simulation.requests import Request
from unit.simulation.building import load


def request(at: float, key: str = "") -> Request:
    return Request(0, at, "m", 100, 50, key, Traits(), ())


def test_percentiles_are_values_that_were_measured() -> None:
    measure = Measure(load(duration_s=100))
    for one in range(1, 101):
        measure.came(request(0.0))
        measure.answered(request(0.0), 0.0, float(one), float(one) * 2, 100)
    outcome = measure.outcome("p", 200.0, {})
    assert (outcome.ttft_s.p50, outcome.ttft_s.p95, outcome.ttft_s.p99) == (50.0, 95.0, 99.0)
    assert outcome.answer_s.p95 == 190.0


def test_without_answers_nothing_is_said_of_their_times() -> None:
    outcome = Measure(load()).outcome("p", 0.0, {})
    assert outcome.ttft_s.p50 is None
    assert (outcome.requests, outcome.goodput, outcome.cached) == (0, 0.0, 0.0)


def test_what_comes_in_the_warm_up_is_not_counted() -> None:
    measure = Measure(load(duration_s=60, warmup_s=10))
    for at in (9.9, 10.0):
        measure.came(request(at))
        measure.answered(request(at), at, at + 1, at + 2, 100)
        measure.refused(request(at), "QUEUE_FULL")
    outcome = measure.outcome("p", 60.0, {})
    assert (outcome.requests, outcome.answered, outcome.refused) == (1, 1, {"QUEUE_FULL": 1})


def test_goodput_counts_answers_that_began_within_the_limit() -> None:
    measure = Measure(load(duration_s=20, warmup_s=10, ttft_limit_s=2))
    for first in (1.0, 2.0, 2.1):
        measure.came(request(10.0))
        measure.answered(request(10.0), 10.0, 10.0 + first, 15.0, 25)
    outcome = measure.outcome("p", 60.0, {})
    assert outcome.goodput == pytest.approx(2 / 10)
    assert outcome.answers_s == pytest.approx(3 / 10)
    assert outcome.cached == pytest.approx(0.75)


def test_keys_are_counted_apart() -> None:
    measure = Measure(load())
    for key, first in (("a", 1.0), ("b", 9.0)):
        measure.came(request(0.0, key))
        measure.answered(request(0.0, key), 0.0, first, 10.0, 100)
    keys = measure.outcome("p", 60.0, {}).keys
    assert {name: one.ttft_s.p95 for name, one in keys.items()} == {"a": 1.0, "b": 9.0}
    assert keys["a"].tokens == 150
