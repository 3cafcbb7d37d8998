"""The ring of the queen's latest decisions."""

from __future__ import annotations

import pytest
from rbee.builtin.policies import BalancedPolicy, SeedPolicy
from rbee.contract import WorkerView
from rbee.contract.errors import NotFoundError
from rbee.queen.decisions import Decisions, Quick
from rbee.scheduler import Candidate, PlaceRequest, Refusal, Snapshot, Use, Wait
from unit.scheduler.test_place import WANTED, hive, worker

NOTHING = Snapshot(candidates=())


def quick(chosen: str, *views: WorkerView, candidates: tuple[Candidate, ...] = ()) -> Quick:
    return Quick(1000.0, "seed", candidates, views, chosen, lambda: WANTED)


def note(decisions: Decisions, request_id: str, decision: Use | Wait | Refusal, **more: PlaceRequest) -> None:
    decisions.full(request_id, "m", more.get("request", WANTED), NOTHING, decision, "seed")


def test_a_request_s_decisions_are_told_in_order() -> None:
    decisions = Decisions(10, SeedPolicy())
    note(decisions, "r", Wait(loading=False))
    note(decisions, "r", Use(worker_id="w"))
    found = decisions.explain("r")
    assert [one.decided for one in found.decisions] == ["wait", "use"]
    assert (found.request_id, found.model) == ("r", "m")


def test_a_request_that_goes_on_waiting_is_noted_once() -> None:
    decisions = Decisions(10, SeedPolicy())
    for _ in range(5):
        note(decisions, "r", Wait(loading=False))
    assert len(decisions.explain("r").decisions) == 1


def test_the_oldest_request_is_forgotten_first() -> None:
    decisions = Decisions(2, SeedPolicy())
    for name in "abc":
        note(decisions, name, Use(worker_id="w"))
    assert [one.request_id for one in decisions.recent(10).decisions] == ["c", "b"]
    with pytest.raises(NotFoundError, match="the last 2 requests are kept"):
        decisions.explain("a")


def test_the_decisions_about_one_request_are_bounded() -> None:
    decisions = Decisions(2, SeedPolicy())
    for number in range(40):
        note(decisions, "r", Use(worker_id=f"w{number}"))
    found = decisions.explain("r").decisions
    assert len(found) == 16
    assert found[-1].worker_id == "w39"


def test_none_are_kept_where_none_are_wanted() -> None:
    decisions = Decisions(0, SeedPolicy())
    note(decisions, "r", Use(worker_id="w"))
    decisions.quick("r", "m", quick("w"))
    assert decisions.recent(5).decisions == ()
    assert list(decisions.recorded()) == []


def test_a_quick_note_is_told_in_full_with_who_had_no_slot() -> None:
    decisions = Decisions(5, SeedPolicy())
    then = (worker("a", free=2), worker("b", free=2), worker("c", routable=False))
    decisions.quick("r", "m", quick("a", WorkerView(worker_id="a", hive_id="h", slots_free=1), candidates=then))
    (found,) = decisions.explain("r").decisions
    told = {one.worker_id: (one.verdict, one.slots_free) for one in found.workers}
    assert told == {"a": ("chosen", 1), "b": ("busy", 0), "c": ("out", 0)}
    assert found.at.timestamp() == 1000.0


def test_recordings_are_of_all_requests_or_of_one() -> None:
    decisions = Decisions(5, SeedPolicy())
    for name in "ab":
        note(decisions, name, Refusal(reasons=()))
    assert [one.request_id for one in decisions.recorded()] == ["a", "b"]
    assert [one.request_id for one in decisions.recorded("b")] == ["b"]
    with pytest.raises(NotFoundError):
        list(decisions.recorded("z"))


def test_the_list_is_short_and_the_newest_comes_first() -> None:
    decisions = Decisions(50, SeedPolicy())
    for number in range(9):
        note(decisions, f"r{number}", Use(worker_id="w"))
    (first, *_), count = decisions.recent(3).decisions, len(decisions.recent(3).decisions)
    assert (first.request_id, first.worker_id, first.decided, count) == ("r8", "w", "use", 3)


def test_scores_are_those_of_the_policy_that_decided() -> None:
    decisions = Decisions(5, BalancedPolicy(), SeedPolicy())
    two = Snapshot(candidates=(worker("a"), worker("b")))
    for name in ("seed", "balanced", "gone"):
        decisions.full(name, "m", WANTED, two, Use(worker_id="a"), name)
    names = {name: set(decisions.explain(name).decisions[0].workers[0].scores) for name in ("seed", "balanced", "gone")}
    assert "load_tenths" in names["seed"]
    assert "expected_s" in names["balanced"]
    assert names["gone"] == set()


def test_what_is_kept_is_bounded_by_what_it_was_made_from_too() -> None:
    decisions = Decisions(100, SeedPolicy(), most_seen=60)
    fleet = Snapshot(candidates=(), hives=tuple(hive(f"h{number}") for number in range(5)))
    for number in range(9):
        decisions.full(f"r{number}", "m", WANTED, fleet, Refusal(reasons=()), "seed")
    assert [one.request_id for one in decisions.recorded()] == ["r7", "r8"]
    views = [WorkerView(worker_id=f"w{number}") for number in range(60)]
    decisions.quick("quick", "m", quick("w1", *views))
    assert [one.request_id for one in decisions.recent(9).decisions] == ["quick"]
    # However large, the last one can be explained.
    decisions.quick("huge", "m", quick("w1", *views, *views))
    assert [one.request_id for one in decisions.recent(9).decisions] == ["huge"]
    decisions.quick("small", "m", quick("w1", *views[:2]))
    assert [one.request_id for one in decisions.recent(9).decisions] == ["small"]


def test_the_reckoning_of_what_is_kept_is_that_of_what_is_kept() -> None:
    decisions = Decisions(3, SeedPolicy())
    both = Snapshot(candidates=(worker("a"),), hives=(hive(),))
    for number in range(200):
        decisions.full(f"r{number % 5}", "m", WANTED, both, Use(worker_id=f"w{number}"), "seed")
        decisions.quick(f"q{number % 2}", "m", quick("a", WorkerView(worker_id="a")))
    kept = list(decisions.recorded())
    assert decisions._seen == sum(6 if one.snapshot.hives else 1 for one in kept)


def test_the_list_tells_the_hive_of_a_quick_decision() -> None:
    decisions = Decisions(5, SeedPolicy())
    decisions.quick("r", "m", quick("a", WorkerView(worker_id="a", hive_id="h"), candidates=(worker("a"),)))
    (line,) = decisions.recent(5).decisions
    (told,) = decisions.explain("r").decisions
    assert (line.worker_id, line.hive_id, line.decided, line.at) == ("a", "h", "use", told.at)
    assert (told.worker_id, told.hive_id) == ("a", "h")


def test_who_is_decided_about_again_is_among_the_newest() -> None:
    decisions = Decisions(2, SeedPolicy())
    for name in "abac":
        note(decisions, name, Use(worker_id="w"))
    assert [one.request_id for one in decisions.recent(10).decisions] == ["c", "a"]
