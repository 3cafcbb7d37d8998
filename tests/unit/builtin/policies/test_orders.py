"""In which order each policy has the workers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.builtin.policies import BalancedPolicy, LeastLoadedPolicy, MostVramFreePolicy, RoundRobinPolicy
from rbee.contract import Policy, RequestView, WorkerView

REQUEST = RequestView(prompt_tokens=1000, max_tokens=200)


def order(policy: Policy, *views: WorkerView, request: RequestView = REQUEST) -> str:
    return "".join(view.worker_id for view in policy.rank(views, request))


def worker(name: str, **more: object) -> WorkerView:
    return WorkerView(**{"worker_id": name, "slots_total": 4, "slots_free": 4, **more})  # type: ignore[arg-type]  # as told


def test_round_robin_takes_whoever_was_asked_longest_ago() -> None:
    assert (
        order(RoundRobinPolicy(), worker("a", sent=7), worker("b", sent=0, slots_free=1), worker("c", sent=3)) == "bca"
    )


def test_least_loaded_counts_requests_and_those_that_wait_inside() -> None:
    views = [worker("a", slots_free=2), worker("b", queue_depth=1), worker("c", slots_total=64, slots_free=61)]
    assert order(LeastLoadedPolicy(), *views) == "bac"


def test_most_vram_free_puts_the_unknown_last() -> None:
    assert order(MostVramFreePolicy(), worker("a"), worker("b", vram_free_mb=10), worker("c", vram_free_mb=99)) == "cba"


def test_balanced_prefers_the_measured_quicker_one() -> None:
    slow, quick = worker("a", decode_tok_s=10.0), worker("b", decode_tok_s=100.0)
    assert order(BalancedPolicy(), slow, quick) == "ba"


def test_balanced_lets_load_outweigh_speed() -> None:
    crowded, slow = worker("a", decode_tok_s=8.0, slots_free=1), worker("b", decode_tok_s=10.0)
    assert order(BalancedPolicy(), crowded, slow) == "ba"


def test_balanced_lets_a_warm_cache_outweigh_a_little_load_but_not_a_lot() -> None:
    warm = {"affinity": 0.9, "prefill_tok_s": 200.0}
    cold = worker("b", prefill_tok_s=200.0, decode_tok_s=50.0)
    assert order(BalancedPolicy(), cold, worker("a", decode_tok_s=40.0, **warm)) == "ab"
    assert order(BalancedPolicy(), cold, worker("a", decode_tok_s=5.0, **warm)) == "ba"


def test_balanced_keeps_a_session_where_it_is_while_others_are_not_clearly_better() -> None:
    here = worker("b", sticky=True, decode_tok_s=95.0)
    assert order(BalancedPolicy(), worker("a", decode_tok_s=100.0), here) == "ba"
    assert order(BalancedPolicy(), worker("a", decode_tok_s=200.0), here) == "ab"


def test_balanced_gives_an_unmeasured_worker_a_chance() -> None:
    assert order(BalancedPolicy(), worker("a", decode_tok_s=50.0, sent=9), worker("b")) == "ba"


def test_balanced_counts_the_load_of_an_unmeasured_worker_by_its_slots() -> None:
    views = [worker("a"), worker("b", slots_free=2), worker("c", slots_free=0), worker("d", slots_total=None)]
    found = BalancedPolicy().scores(views, REQUEST)
    alone = found["a"]["decode_s"]
    assert [found[name]["decode_s"] / alone for name in "abcd"] == [1.0, 1.5, 2.0, 1.0]
    # One that was measured was measured beside its load.
    busy = [worker("a", decode_tok_s=10.0), worker("b", decode_tok_s=10.0, slots_free=0)]
    assert len({one["decode_s"] for one in BalancedPolicy().scores(busy, REQUEST).values()}) == 1


def test_balanced_counts_those_that_wait_inside_and_shares_them_among_the_slots() -> None:
    waited = worker("a", queue_depth=8, decode_tok_s=10.0)
    assert order(BalancedPolicy(), waited, worker("b", decode_tok_s=8.0)) == "ba"
    scores = BalancedPolicy().scores([waited], REQUEST)["a"]
    assert scores["waiting_s"] == 8 / 4 * scores["decode_s"]


def test_balanced_believes_no_bound_on_the_answer_beyond_reason() -> None:
    slow_start = worker("a", prefill_tok_s=100.0, decode_tok_s=50.0)
    told, huge, none = (
        BalancedPolicy().scores([slow_start], RequestView(prompt_tokens=10, max_tokens=most))["a"]["decode_s"]
        for most in (256, 10**12, 0)
    )
    assert told == huge
    assert 0 < none < told


def test_balanced_takes_equals_in_turn() -> None:
    assert order(BalancedPolicy(), worker("a", sent=2), worker("b", sent=1)) == "ba"


def test_a_long_prompt_goes_to_the_quick_reader_and_a_long_answer_to_the_quick_writer() -> None:
    reader = worker("r", prefill_tok_s=5000.0, decode_tok_s=20.0)
    writer = worker("w", prefill_tok_s=300.0, decode_tok_s=60.0)
    assert order(BalancedPolicy(), writer, reader, request=RequestView(prompt_tokens=9000, max_tokens=16)) == "rw"
    assert order(BalancedPolicy(), writer, reader, request=RequestView(prompt_tokens=50, max_tokens=256)) == "wr"


VIEWS = st.lists(
    st.builds(
        WorkerView,
        worker_id=st.text("abc", min_size=1, max_size=3),
        slots_total=st.none() | st.integers(1, 8),
        slots_free=st.none() | st.integers(0, 8),
        queue_depth=st.none() | st.integers(0, 9),
        prefill_tok_s=st.none() | st.floats(0, 1e4),
        decode_tok_s=st.none() | st.floats(0, 1e3),
        affinity=st.floats(0, 1),
        sticky=st.booleans(),
        sent=st.integers(0, 9),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda view: view.worker_id,
)


@pytest.mark.parametrize("policy", [BalancedPolicy(), LeastLoadedPolicy(), MostVramFreePolicy(), RoundRobinPolicy()])
@given(VIEWS)
def test_each_tells_the_numbers_of_every_worker(policy: Policy, views: list[WorkerView]) -> None:
    scores = policy.scores(views, REQUEST)
    assert scores.keys() == {view.worker_id for view in views}
    assert all(numbers for numbers in scores.values())


@given(VIEWS)
def test_balanced_puts_the_least_expected_seconds_first(views: list[WorkerView]) -> None:
    policy = BalancedPolicy()
    expected = [policy.scores(views, REQUEST)[one.worker_id]["expected_s"] for one in policy.rank(views, REQUEST)]
    # In steps of two digits.
    assert all(earlier <= later * 1.1 for earlier, later in itertools.pairwise(expected))
