"""Processor threads, handed out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract.errors import NoPlacementError
from rbee.hive.budget import ThreadBudget


@given(st.integers(-1, 64), st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef")), max_size=40))
def test_the_sum_is_never_above_the_total(total: int, steps: list[tuple[bool, str]]) -> None:
    budget, held = ThreadBudget(total), {}
    for takes, worker in steps:
        if not takes:
            budget.give_back(worker)
            held.pop(worker, None)
            continue
        try:
            granted = budget.grant(worker)
        except NoPlacementError:
            assert worker not in held
            assert budget.free == 0
            continue
        assert granted == held.setdefault(worker, granted) >= 1
        assert sum(held.values()) <= budget.total
    assert budget.free == budget.total - sum(held.values())


def test_each_gets_half_of_what_is_left() -> None:
    budget = ThreadBudget(8)
    assert [budget.grant(worker) for worker in "abcd"] == [4, 2, 1, 1]
    with pytest.raises(NoPlacementError, match=r"a, b, c, d.*hive\.threads"):
        budget.grant("e")


def test_a_found_worker_counts_even_when_it_has_too_many() -> None:
    budget = ThreadBudget(4)
    budget.note("found", 9)
    assert budget.free == 0
