"""Processor threads, handed out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract.errors import NoPlacementError
from rbee.hive.thread_budget import ThreadBudget

STEPS = st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef")), max_size=40)
MOST = st.none() | st.integers(1, 70)


@given(st.integers(-1, 64), MOST, STEPS)
def test_the_sum_is_never_above_a_limit(total: int, most: int | None, steps: list[tuple[bool, str]]) -> None:
    budget, held = ThreadBudget(total, most=most), {}
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
        assert most is None or granted <= most
        assert sum(held.values()) <= budget.total
    assert budget.free == budget.total - sum(held.values())


@given(st.integers(1, 8), MOST, STEPS)
def test_without_a_limit_the_sum_is_above_the_cores_only_by_workers_of_one_thread(
    cores: int, most: int | None, steps: list[tuple[bool, str]]
) -> None:
    budget = ThreadBudget(cores, fixed=False, most=most)
    held: dict[str, int] = {}
    for takes, worker in steps:
        if takes:
            free = budget.free
            granted = budget.grant(worker)
            assert worker in held or granted == 1 or granted <= free
            held.setdefault(worker, granted)
        else:
            budget.give_back(worker)
            held.pop(worker, None)
        assert budget.granted == sum(held.values()) <= max(cores, cores + len(held) - 1)
    assert budget.free == max(0, cores - sum(held.values()))


def test_each_gets_half_of_what_is_left() -> None:
    budget = ThreadBudget(8)
    assert [budget.grant(worker) for worker in "abcd"] == [4, 2, 1, 1]
    with pytest.raises(NoPlacementError, match=r"a, b, c, d.*hive\.threads"):
        budget.grant("e")


def test_more_workers_than_cores_get_one_each_where_nobody_has_set_a_limit() -> None:
    budget = ThreadBudget(2, fixed=False)
    assert [budget.grant(worker) for worker in "abcd"] == [1, 1, 1, 1]
    assert (budget.total, budget.granted, budget.free) == (2, 4, 0)
    for worker in "abc":
        budget.give_back(worker)
    assert (budget.granted, budget.free) == (1, 1)


@pytest.mark.parametrize(("most", "shares"), [(1, [1, 1, 1, 1]), (3, [3, 3, 2, 1]), (8, [8, 1, 1, 1])])
def test_how_many_one_worker_gets_can_be_said(most: int, shares: list[int]) -> None:
    budget = ThreadBudget(8, fixed=False, most=most)
    assert [budget.grant(worker) for worker in "abcd"] == shares


def test_a_found_worker_counts_even_when_it_has_too_many() -> None:
    budget = ThreadBudget(4)
    budget.note("found", 9)
    assert (budget.free, budget.granted) == (0, 9)
