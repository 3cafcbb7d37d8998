"""Speeds of devices, as a fleet's file tells them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.simulation import Compute
from rbee.simulation.fleet import decode_curve


def curve(told: float | dict[int, float], slots: int, scale: float = 1.0) -> list[float]:
    return list(decode_curve(Compute(prefill_tok_s=1, decode_tok_s=told), slots, scale))


def test_between_two_told_numbers_of_answers_the_speed_is_interpolated() -> None:
    assert curve({1: 100, 4: 70}, 4) == [100, 90, 80, 70]


def test_beyond_the_last_one_what_it_comes_to_is_shared() -> None:
    assert curve({2: 50}, 4) == [50, 50, pytest.approx(100 / 3), 25]


def test_one_number_does_not_fall_with_the_answers() -> None:
    assert curve(30.0, 3) == [30, 30, 30]


def test_a_larger_model_is_slower_by_its_size() -> None:
    assert curve({1: 100}, 1, 0.25) == [25]


@given(told=st.dictionaries(st.integers(1, 64), st.floats(0.1, 1000), min_size=1, max_size=5), slots=st.integers(1, 64))
def test_every_slot_has_a_speed_among_those_told_or_below(told: dict[int, float], slots: int) -> None:
    found = curve(told, slots)
    assert len(found) == slots
    assert all(0 < speed <= max(told.values()) * (1 + 1e-9) for speed in found)
