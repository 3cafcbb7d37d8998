"""Things that are there as long as they say so."""

from __future__ import annotations

import pytest
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
