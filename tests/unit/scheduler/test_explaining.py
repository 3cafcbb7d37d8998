"""Decisions made again from what was recorded, told to a person, and replayed by another policy."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.builtin.policies import BalancedPolicy, RoundRobinPolicy, SeedPolicy
from rbee.contract import Policy
from rbee.scheduler import (
    Candidate,
    Decision,
    HiveView,
    IdleWorker,
    PlaceRequest,
    Recorded,
    Refusal,
    Snapshot,
    Start,
    Use,
    Wait,
    decide,
    explain,
)
from rbee.scheduler.replaying import outcome, replay
from unit.scheduler.test_place import GIB, GPU, WANTED, engine, hive, variant, worker

POLICY = SeedPolicy()


def recorded(
    request: PlaceRequest = WANTED,
    workers: tuple[Candidate, ...] = (),
    hives: tuple[HiveView, ...] | None = None,
    policy: Policy = POLICY,
    **more: Any,
) -> Recorded:
    snapshot = Snapshot(candidates=workers, hives=hives)
    return Recorded(
        request_id="r",
        model="m",
        at=datetime(2026, 1, 2, tzinfo=UTC),
        policy=policy.name,
        request=request,
        snapshot=snapshot,
        decision=decide(request, snapshot, policy),
        **more,
    )


def test_each_worker_is_told_with_what_it_lacked() -> None:
    found = explain(
        recorded(
            workers=(
                worker("a"),
                worker("b", free=3),
                worker("c", free=0),
                worker("d", routable=False, presence="hung"),
            )
        ),
        POLICY,
    )
    assert (found.decided, found.worker_id, found.hive_id, found.hives) == ("use", "b", "h", None)
    told = {one.worker_id: (one.verdict, one.reason) for one in found.workers}
    assert told == {
        "a": ("free", None),
        "b": ("chosen", None),
        "c": ("busy", "all slots are busy"),
        "d": ("out", "it is hung, state ready"),
    }
    assert "first of 2 by policy 'seed'" in found.text


def test_scores_are_those_of_the_policy_and_only_of_workers_that_would_do() -> None:
    found = explain(recorded(workers=(worker("a"), worker("b", routable=False))), BalancedPolicy())
    assert {one.worker_id: sorted(one.scores) for one in found.workers} == {
        "a": ["decode_s", "expected_s", "prefill_s", "sticky", "waiting_s"],
        "b": [],
    }
    assert explain(recorded(workers=(worker("a"),)), None).workers[0].scores == {}


def test_a_start_tells_of_every_hive_and_what_made_the_difference() -> None:
    here = hive("b", held=frozenset({"m"}))
    found = explain(recorded(hives=(hive("a"), here, hive("c", online=False))), POLICY)
    assert (found.decided, found.hive_id) == ("start", "b")
    assert found.hives is not None
    told = {one.hive_id: one for one in found.hives}
    assert [told[name].verdict for name in "abc"] == ["possible", "chosen", "out"]
    assert "b is preferred: the files lie on its disk" in told["a"].reasons
    assert told["c"].reasons == ("it is down",)
    assert told["b"].scores["to_fetch"] == 0
    assert told["a"].scores["to_fetch"] == 1


def test_equals_are_told_to_be_equals() -> None:
    found = explain(recorded(hives=(hive("a"), hive("b"))), POLICY)
    assert found.hives is not None
    assert found.hives[1].reasons[-1] == "a is as good, and comes first by name"


def test_who_has_to_be_stopped_is_told() -> None:
    full = hive("a", ram_free_bytes=0, idle=(IdleWorker(worker_id="old", idle_s=9, memory_bytes=4 * GIB),))
    found = explain(recorded(hives=(full,)), POLICY)
    assert "after stopping old" in found.text
    assert "once it is fetched" in found.text


def test_a_refusal_has_a_reason_for_every_hive() -> None:
    hives = (hive("a", online=False), hive("b", engines=()), hive("c", ram_free_bytes=1))
    found = explain(recorded(hives=hives), POLICY)
    assert found.decided == "refusal"
    assert found.hives is not None
    assert all(one.verdict == "out" and one.reasons for one in found.hives)
    assert all(f"hive {name}" in found.text for name in "abc")


def test_a_request_that_waits_is_told_why() -> None:
    assert explain(recorded(workers=(worker("a", free=0),)), POLICY).text == "every worker of the model is busy"
    loading = explain(recorded(workers=(worker("a", routable=False, state="loading"),)), POLICY)
    assert loading.text == "a worker of the model is loading"


def test_workers_that_had_failed_with_the_request_are_named() -> None:
    assert explain(recorded(workers=(worker("a"),), tried=("z",)), POLICY).tried == ("z",)


def test_a_record_survives_json_and_decides_the_same() -> None:
    gpu = hive("g", devices=(GPU,), engines=(engine(backends=(GPU.backend,)),), gpu_free_bytes={"GPU-0": 9 * GIB})
    for one in (
        recorded(workers=(worker("a"), worker("b", free=0))),
        recorded(hives=(hive("a"), gpu)),
        recorded(workers=(worker("a", free=0),)),
        recorded(hives=(hive("a", online=False),)),
    ):
        again = msgspec.json.decode(msgspec.json.encode(one), type=Recorded)
        assert again == one
        assert decide(again.request, again.snapshot, POLICY) == one.decision


WORKERS = st.lists(
    st.builds(
        worker,
        st.sampled_from("abcdef"),
        free=st.integers(0, 3),
        routable=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda one: one.view.worker_id,
).map(tuple)


@given(WORKERS)
def test_the_same_policy_changes_nothing(workers: tuple[Candidate, ...]) -> None:
    one = recorded(workers=workers, hives=(hive("a"),))
    found = replay([one, one], POLICY)
    assert found.changes == ()
    assert found.before == found.after == {outcome(one.decision): 2}


def test_another_policy_s_changes_are_counted() -> None:
    rested = worker("b", free=1)
    busy = worker("a", free=3)
    workers = (msgspec.structs.replace(busy, view=msgspec.structs.replace(busy.view, sent=7)), rested)
    found = replay([recorded(workers=workers)], RoundRobinPolicy())
    assert [outcome(one.decision) for one in found.changes] == ["b"]
    assert (found.before, found.after) == ({"a": 1}, {"b": 1})


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        (Use(worker_id="w"), "w"),
        (Start(hive_id="h", engine="e", device="d", model_id="m"), "start on h"),
        (Wait(loading=True), "wait"),
        (Refusal(reasons=()), "refuse"),
    ],
)
def test_outcomes_are_told_in_a_few_words(decision: Decision, told: str) -> None:
    assert outcome(decision) == told


def test_a_variant_with_figures_is_recorded_whole() -> None:
    one = recorded(PlaceRequest(variants=(variant("m"), variant("n", None))), hives=(hive("a"),))
    assert msgspec.json.decode(msgspec.json.encode(one), type=Recorded).request == one.request
