"""Whole runs."""

from __future__ import annotations

import msgspec
from rbee.builtin.policies import BalancedPolicy, RoundRobinPolicy
from rbee.contract import Policy
from rbee.simulation import Key, Load, Outcome, Prefixes, RandomPolicy, Sessions, simulate
from unit.simulation.building import SETTINGS, fleet, group, laptop, load, model

MIXED = fleet(laptop(count=4, workers={"m": 1}), group(count=2, models=("n",), workers={"m": 1}))
ASKED = load(
    model(share=9),
    model("n", weights_gib=8),
    rate=4,
    duration_s=120,
    sessions=Sessions(share=0.5, turns=3, think_s=8),
    prefixes=Prefixes(count=2, tokens=256),
    keys=(Key(name="a"), Key(name="b", batch=True)),
)


def outcome(policy: Policy, seed: int = 0, asked: Load = ASKED) -> Outcome:
    return simulate(MIXED, asked, policy, SETTINGS, seed).outcome


def test_equal_input_gives_equal_output() -> None:
    for make in (lambda: RandomPolicy(5), BalancedPolicy):
        assert outcome(make()) == outcome(make())
    assert outcome(BalancedPolicy()) != outcome(BalancedPolicy(), seed=1)


def test_every_policy_gets_the_same_load() -> None:
    one, other = outcome(RoundRobinPolicy()), outcome(BalancedPolicy())
    assert one.requests == other.requests
    assert {name: key.requests for name, key in one.keys.items()} == {
        name: key.requests for name, key in other.keys.items()
    }


def test_on_a_mixed_fleet_balanced_is_quicker_than_round_robin() -> None:
    one, other = outcome(RoundRobinPolicy()), outcome(BalancedPolicy())
    assert one.ttft_s.p95 is not None
    assert other.ttft_s.p95 is not None
    assert other.ttft_s.p95 <= 0.6 * one.ttft_s.p95
    assert other.goodput > one.goodput


def test_progress_is_told_on_the_way() -> None:
    told: list[float] = []
    long = msgspec.structs.replace(ASKED, duration_s=600)
    found = simulate(MIXED, long, BalancedPolicy(), SETTINGS, progress=told.append)
    assert told == sorted(told)
    assert told
    assert found.hives == 6
    assert found.workers >= 6
    assert found.decisions_s > 0
