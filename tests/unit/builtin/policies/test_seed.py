"""The default policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.builtin.policies import SeedPolicy
from rbee.contract import RequestView, WorkerView
from rbee.testing.conformance import PolicyContract

VIEWS = st.lists(
    st.builds(
        WorkerView,
        worker_id=st.text("abc", min_size=1, max_size=3),
        gpu_pct=st.none() | st.floats(0, 100),
        slots_free=st.none() | st.integers(0, 3),
        latency_s=st.none() | st.floats(0, 2),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda view: view.worker_id,
)


class TestSeedPolicy(PolicyContract):
    @pytest.fixture
    def policy(self):
        return SeedPolicy()


def ranked(*views: WorkerView) -> list[str]:
    return [view.worker_id for view in SeedPolicy().rank(views, RequestView())]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"gpu_pct": 15.0, "slots_free": 1, "latency_s": 9.0}, {"gpu_pct": 95.0, "slots_free": 4, "latency_s": 0.1}),
        ({"gpu_pct": 19.0, "slots_free": 2}, {"gpu_pct": 11.0, "slots_free": 1}),
        ({"slots_free": 2, "latency_s": 9.0}, {"slots_free": 1, "latency_s": 0.1}),
        ({"slots_free": 1, "latency_s": 0.1}, {"slots_free": 1, "latency_s": 0.2}),
        ({"slots_free": 1}, {"slots_free": 1, "latency_s": 0.2}),
        ({"slots_free": 1}, {}),
        ({}, {"gpu_pct": 10.0}),
    ],
    ids=[
        "load first",
        "small differences are noise",
        "then slots",
        "then latency",
        "unmeasured",
        "unknown slots",
        "no GPU",
    ],
)
def test_the_better_worker_goes_first_whatever_its_name(better: dict, worse: dict) -> None:
    for good, bad in (("a", "b"), ("b", "a")):
        assert ranked(WorkerView(worker_id=bad, **worse), WorkerView(worker_id=good, **better)) == [good, bad]


def test_equals_are_told_apart_by_name() -> None:
    assert ranked(WorkerView(worker_id="b"), WorkerView(worker_id="a")) == ["a", "b"]


@given(VIEWS, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(views: list[WorkerView], random) -> None:
    shuffled = list(views)
    random.shuffle(shuffled)
    assert ranked(*shuffled) == ranked(*views)


@given(VIEWS)
def test_nobody_is_lost_or_invented(views: list[WorkerView]) -> None:
    assert sorted(ranked(*views)) == sorted(view.worker_id for view in views)
