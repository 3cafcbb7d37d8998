"""The requests that a load brings."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rbee.simulation import Arrivals, Key, Length, Prefixes, Recorded, Requests, Sessions
from rbee.simulation.requests import BLOCK_TOKENS, Request
from unit.simulation.building import load, model, requests


def plain(one: Request) -> tuple[object, ...]:
    return (one.number, one.at, one.model, one.prompt_tokens, one.answer_tokens, one.key, one.traits, one.later)


def test_the_same_seed_gives_the_same_requests_and_another_one_others() -> None:
    asked = load(sessions=Sessions(share=0.5), keys=(Key(name="a"), Key(name="b")))
    assert [plain(one) for one in requests(asked)] == [plain(one) for one in requests(asked)]
    assert [plain(one) for one in requests(asked)] != [plain(one) for one in requests(asked, seed=1)]


def test_as_many_come_as_the_rate_says() -> None:
    assert len(requests(load(rate=20, duration_s=500))) == pytest.approx(10_000, rel=0.05)


def test_with_sessions_as_many_come_as_well() -> None:
    asked = load(rate=20, duration_s=2000, sessions=Sessions(share=0.5, turns=4, think_s=10))
    assert len(requests(asked)) == pytest.approx(40_000, rel=0.05)


def test_the_rate_follows_the_day() -> None:
    arrivals = Arrivals(rate=0.1, daily=(0, 1, 3, 0))
    hours = Counter(int(one.at // 21_600) for one in requests(load(duration_s=86_400, arrivals=arrivals)))
    assert hours[0] == hours[3] == 0
    assert hours[2] == pytest.approx(3 * hours[1], rel=0.15)
    assert hours.total() == pytest.approx(8640, rel=0.05)


def test_models_are_asked_for_by_their_shares() -> None:
    found = Counter(one.model for one in requests(load(model("a", share=3), model("b"), rate=100)))
    assert found["a"] == pytest.approx(3 * found["b"], rel=0.1)


def test_by_zipf_the_first_copy_is_asked_for_most() -> None:
    found = Counter(one.model for one in requests(load(model("m", copies=4), zipf=1.0, rate=200)))
    assert found["m-1"] == pytest.approx(4 * found["m-4"], rel=0.15)


def test_keys_share_the_requests_and_tell_their_lane() -> None:
    found = requests(load(rate=100, keys=(Key(name="a", share=9), Key(name="b", share=1, batch=True))))
    by_key = Counter(one.key for one in found)
    assert by_key["a"] == pytest.approx(9 * by_key["b"], rel=0.2)
    assert {(one.key, one.traits.batch) for one in found} == {("a", False), ("b", True)}


def test_a_sessions_prompts_begin_with_all_that_was_said() -> None:
    asked = load(rate=5, duration_s=300, sessions=Sessions(share=1, turns=5, think_s=5), prompt=Length(median=300))
    by_session = defaultdict(list)
    for one in requests(asked):
        by_session[one.traits.session].append(one)
    longer = [turns for turns in by_session.values() if len(turns) > 2]
    assert longer
    for turns in longer:
        for before, after in itertools.pairwise(turns):
            if after.prompt_tokens < before.prompt_tokens:
                continue  # It was cut off at the context's end.
            assert after.prompt_tokens == before.prompt_tokens + before.answer_tokens + 300
            assert after.traits.blocks[: len(before.later)] == before.later


def test_different_conversations_have_their_common_beginning_alone() -> None:
    asked = load(prefixes=Prefixes(count=1, tokens=4 * BLOCK_TOKENS), prompt=Length(median=1000))
    first, second = requests(asked)[:2]
    common = [a for a, b in zip(first.traits.blocks, second.traits.blocks, strict=True) if a == b]
    assert len(common) == 4
    assert not set(first.traits.blocks[4:]) & set(second.traits.blocks[4:])


def test_recorded_arrivals_are_as_they_were() -> None:
    asked = load(model("a"), model("b"), arrivals=Arrivals(recorded="x"))
    recorded = [
        Recorded(at=0.5, model="b", prompt_tokens=700, answer_tokens=9, key="k", session="s"),
        Recorded(at=0.7, model="b", prompt_tokens=900, answer_tokens=3, key="k", session="s"),
        Recorded(at=0.7),
    ]
    first, second, third = Requests(asked, 0, 8192, recorded)
    assert (first.at, first.model, first.prompt_tokens, first.answer_tokens, first.key) == (0.5, "b", 700, 9, "k")
    assert second.traits.blocks[:5] == first.traits.blocks[:5]
    assert third.model in {"a", "b"}
    assert third.traits.session is None


@settings(max_examples=40)
@given(seed=st.integers(0, 1000), share=st.floats(0, 1), most=st.integers(1, 20_000), context=st.integers(16, 4096))
def test_requests_come_in_order_and_fit_the_context(seed: int, share: float, most: int, context: int) -> None:
    asked = load(
        rate=3, sessions=Sessions(share=share, turns=3, think_s=2), prompt=Length(most=most), answer=Length(most=most)
    )
    found = list(Requests(asked, seed, context))
    assert [one.number for one in found] == list(range(len(found)))
    assert all(a.at <= b.at for a, b in itertools.pairwise(found))
    assert all(one.prompt_tokens >= 1 and one.answer_tokens >= 1 for one in found)
    assert all(one.prompt_tokens + one.answer_tokens <= context for one in found)
