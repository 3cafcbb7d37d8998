"""The baseline that knows nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from rbee.contract import RequestView, WorkerView
from rbee.simulation import RandomPolicy

VIEWS = [WorkerView(worker_id=name) for name in "abcd"]


def firsts(seed: int, count: int = 400) -> list[str]:
    policy = RandomPolicy(seed)
    return [policy.rank(VIEWS, RequestView())[0].worker_id for _ in range(count)]


def test_everybody_comes_first_about_equally_often() -> None:
    assert all(times == pytest.approx(100, rel=0.3) for times in Counter(firsts(0)).values())


def test_the_same_seed_gives_the_same() -> None:
    assert firsts(3) == firsts(3) != firsts(4)


def test_nobody_is_lost() -> None:
    assert sorted(one.worker_id for one in RandomPolicy(1).rank(VIEWS, RequestView())) == list("abcd")
