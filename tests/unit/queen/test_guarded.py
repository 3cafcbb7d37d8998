"""A policy that cannot hurt."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import pytest
from rbee.contract import Policy, RequestView, WorkerView
from rbee.queen.guarded import GuardedPolicy

REQUEST = RequestView()
VIEWS = [WorkerView(worker_id=name) for name in "abc"]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class ByName(Policy):
    name = "by-name"

    def rank(self, workers: Sequence[WorkerView], request: RequestView) -> Sequence[WorkerView]:
        return sorted(workers, key=lambda one: one.worker_id)


class Doing(Policy):
    name = "doing"

    def __init__(self, do: Callable[[Sequence[WorkerView]], Sequence[WorkerView]]) -> None:
        self.asked = 0
        self._do = do

    def rank(self, workers: Sequence[WorkerView], request: RequestView) -> Sequence[WorkerView]:
        self.asked += 1
        return self._do(workers)

    def scores(self, workers, request):
        raise RuntimeError("no scores today")


def failing(_: Sequence[WorkerView]) -> Sequence[WorkerView]:
    raise RuntimeError("broken")


def leaving(_: Sequence[WorkerView]) -> Sequence[WorkerView]:
    raise SystemExit(3)


def order(policy: Policy) -> str:
    views = list(VIEWS)
    ranked = policy.rank(views, REQUEST)
    assert views == VIEWS
    return "".join(one.worker_id for one in ranked)


def test_a_good_policy_decides() -> None:
    policy = GuardedPolicy(Doing(lambda workers: list(reversed(workers))), ByName(), Clock())
    assert order(policy) == "cba"
    assert policy.decided_by == policy.name == "doing"


@pytest.mark.parametrize(
    ("do", "told"),
    [
        (failing, "failed"),
        (lambda workers: workers[1:], "lost or invented"),
        (lambda workers: [*workers, workers[0]], "lost or invented"),
        (lambda workers: [*workers[1:], WorkerView(worker_id="z")], "lost or invented"),
        (lambda workers: None, "failed"),
        (lambda workers: workers.clear() or workers, "failed"),
        (lambda workers: workers.sort(key=lambda one: one.worker_id, reverse=True) or workers, "failed"),
        (leaving, "failed"),
    ],
)
def test_what_fails_or_loses_a_worker_is_replaced_for_that_decision(caplog, do, told: str) -> None:
    policy = GuardedPolicy(Doing(do), ByName(), Clock())
    with caplog.at_level(logging.WARNING):
        assert order(policy) == "abc"
    assert policy.decided_by == "by-name"
    assert told in caplog.text
    assert "doing" in caplog.text


def test_what_takes_too_long_is_replaced_and_after_three_times_left_alone_for_a_minute() -> None:
    clock = Clock()

    def slow(workers: Sequence[WorkerView]) -> Sequence[WorkerView]:
        clock.now += 0.06
        return list(reversed(workers))

    doing = Doing(slow)
    policy = GuardedPolicy(doing, ByName(), clock)
    assert [order(policy) for _ in range(5)] == ["abc"] * 5
    assert doing.asked == 3
    clock.now += 61
    order(policy)
    assert doing.asked == 4


def test_what_fails_three_times_in_a_row_is_left_alone_for_a_minute_and_fills_no_log(caplog) -> None:
    clock = Clock()
    doing = Doing(failing)
    policy = GuardedPolicy(doing, ByName(), clock)
    with caplog.at_level(logging.WARNING):
        assert [order(policy) for _ in range(50)] == ["abc"] * 50
    assert (doing.asked, len(caplog.records)) == (3, 4)
    assert "left alone for 60 s" in caplog.text
    clock.now += 61
    order(policy)
    assert doing.asked == 4


def test_one_slow_decision_among_quick_ones_is_forgiven() -> None:
    clock = Clock()
    waits = [0.06, 0.06, 0.0, 0.06, 0.06, 0.0]

    def sometimes(workers: Sequence[WorkerView]) -> Sequence[WorkerView]:
        clock.now += waits.pop(0)
        return list(reversed(workers))

    doing = Doing(sometimes)
    policy = GuardedPolicy(doing, ByName(), clock)
    assert [order(policy) for _ in range(6)] == ["abc", "abc", "cba", "abc", "abc", "cba"]


def test_one_of_ours_is_believed() -> None:
    policy = GuardedPolicy(Doing(lambda workers: list(reversed(workers))), ByName(), Clock(), trusted=True)
    assert order(policy) == "cba"
    assert policy.decided_by == "doing"


def test_scores_that_fail_are_none() -> None:
    assert GuardedPolicy(Doing(failing), ByName(), Clock()).scores(VIEWS, REQUEST) == {}


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ({"a": {"x": 1}}, {"a": {"x": 1.0}}),
        ({"a": {"x": float("nan"), "y": float("inf"), "z": 2.0}}, {"a": {"z": 2.0}}),
        ({"a": [1.0]}, {}),
        ({"a": {"x": "much"}}, {}),
        (None, {}),
    ],
)
def test_scores_are_numbers_by_name_whatever_the_policy_says(scores, told) -> None:
    class Telling(ByName):
        def scores(self, workers, request):
            return scores

    assert GuardedPolicy(Telling(), ByName(), Clock()).scores(VIEWS, REQUEST) == told
