"""Things that are there as long as they say so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.telemetry import HeartbeatRegistry


@pytest.fixture
def beats(clock) -> HeartbeatRegistry[int]:
    return HeartbeatRegistry(clock, 10, available=lambda item: item > 0)


def test_an_item_is_online_until_its_age_reaches_the_limit(beats, clock) -> None:
    beats.update("a", 1)
    clock.tick(9.999)
    assert beats.is_online("a")
    clock.tick(0.001)
    assert not beats.is_online("a")
    assert beats.get("a") == 1
    assert beats.age("a") == pytest.approx(10)


def test_a_sign_of_life_brings_it_back(beats, clock) -> None:
    beats.update("a", 1)
    clock.tick(50)
    beats.update("a", 2)
    assert beats.list_online() == [2]


def test_lists_and_counts_agree(beats, clock) -> None:
    beats.update("old", 1)
    clock.tick(10)
    beats.update("idle", 2)
    beats.update("busy", 0)
    assert beats.list_all() == [1, 2, 0]
    assert beats.list_online() == [2, 0]
    assert beats.list_available() == [2]
    assert (beats.count_total(), beats.count_online(), beats.count_available()) == (3, 2, 1)


def test_what_was_never_seen_is_nothing(beats) -> None:
    assert (beats.get("x"), beats.age("x"), beats.remove("x"), beats.is_online("x")) == (None, None, None, False)


def test_removing_returns_the_item(beats) -> None:
    beats.update("a", 7)
    assert beats.remove("a") == 7
    assert beats.count_total() == 0


def test_cleaning_forgets_only_what_has_long_been_silent(beats, clock) -> None:
    beats.update("old", 1)
    clock.tick(30)
    beats.update("new", 2)
    clock.tick(30)
    assert beats.cleanup_stale(60) == ["old"]
    assert beats.cleanup_stale(60) == []
    assert beats.list_all() == [2]


def test_counting_and_cleaning_go_by_age_whatever_was_asked_before(beats, clock) -> None:
    for number in range(1, 6):
        beats.update(str(number), number)
        clock.tick(3)
    assert (beats.count_online(), beats.count_available(), beats.count_total()) == (3, 3, 5)
    beats.update("1", 0)
    assert beats.list_online() == [3, 4, 5, 0]
    assert (beats.count_online(), beats.count_available()) == (4, 3)
    assert beats.cleanup_stale(9) == ["2", "3"]
    assert beats.cleanup_stale(0) == ["4", "5", "1"]
    assert beats.count_total() == beats.count_available() == 0


def test_silence_is_told_once(clock) -> None:
    told: list[str] = []
    beats: HeartbeatRegistry[int] = HeartbeatRegistry(clock, 10, on_silent=told.append)
    beats.update("a", 1)
    beats.update("b", 1)
    clock.tick(5)
    beats.update("a", 1)
    clock.tick(5)
    assert beats.count_online() == 1
    assert told == ["b"]
    clock.tick(50)
    assert beats.list_available() == []
    assert told == ["b", "a"]
    beats.update("b", 1)
    clock.tick(10)
    beats.settle()
    assert told == ["b", "a", "b"]


_STEPS = st.lists(
    st.tuples(st.sampled_from(["update", "remove", "tick", "clean"]), st.sampled_from("abc"), st.integers(0, 12)),
    max_size=60,
)


@given(_STEPS)
def test_it_always_equals_a_full_search(steps: list[tuple[str, str, int]]) -> None:
    now, model = 0.0, {}
    beats: HeartbeatRegistry[int] = HeartbeatRegistry(lambda: now, 10, available=lambda item: item > 5)
    for what, name, number in steps:
        if what == "update":
            beats.update(name, number)
            model[name] = (number, now)
        elif what == "remove":
            held = model.pop(name, None)
            assert beats.remove(name) == (held[0] if held else None)
        elif what == "tick":
            now += number
        else:
            gone = {one for one, (_, seen) in model.items() if now - seen >= number}
            assert set(beats.cleanup_stale(number)) == gone
            model = {one: held for one, held in model.items() if one not in gone}
        online = {one: held[0] for one, held in model.items() if now - held[1] < 10}
        assert sorted(beats.list_online()) == sorted(online.values())
        assert sorted(beats.list_available()) == sorted(item for item in online.values() if item > 5)
        assert (beats.count_total(), beats.count_online()) == (len(model), len(online))
        assert beats.count_available() == sum(item > 5 for item in online.values())
        assert {one for one in "abc" if beats.is_online(one)} == set(online)
        assert {one: beats.age(one) for one in model} == {one: now - held[1] for one, held in model.items()}
