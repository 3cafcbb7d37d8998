"""Clocks of hives that are not the queen's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rbee.queen.clocks import HiveClocks
from rbee.telemetry import TelemetryRegistry

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clocks(clock: Any) -> HiveClocks:
    return HiveClocks(TelemetryRegistry(clock), lambda: NOW)


@pytest.mark.parametrize("ahead_s", [-1e9, -60, 0, 4])
def test_a_time_up_to_now_may_be_right(clocks: HiveClocks, ahead_s: float) -> None:
    told = NOW + timedelta(seconds=ahead_s)
    assert clocks.may_be_right("h", told)
    assert clocks.may_be_right("h", told.replace(tzinfo=None))


@pytest.mark.parametrize("told", [NOW + timedelta(seconds=6), datetime.max.replace(tzinfo=UTC)])
def test_a_time_yet_to_come_cannot_be_right(clocks: HiveClocks, told: datetime) -> None:
    assert not clocks.may_be_right("h", told)


def test_a_hive_is_warned_of_once_and_again_after_it_was_right(
    clocks: HiveClocks, caplog: pytest.LogCaptureFixture
) -> None:
    ahead = NOW + timedelta(hours=1)
    for told in (ahead, ahead, NOW, ahead):
        clocks.may_be_right("h", told)
    clocks.may_be_right("i", ahead)
    warned = [record.getMessage() for record in caplog.records]
    assert [one.split("'")[1] for one in warned] == ["h", "h", "i"]
    assert "3600 s ahead of the queen's" in warned[0]


def test_the_skew_of_the_last_word_is_kept(clocks: HiveClocks) -> None:
    clocks.heard("h", NOW + timedelta(hours=1))
    clocks.heard("h", NOW - timedelta(seconds=2))
    assert clocks.skews == {"h": -2.0}


def test_what_is_kept_stays_bounded(clocks: HiveClocks) -> None:
    for number in range(1000):
        clocks.heard(f"h{number}", NOW)
    assert len(clocks.skews) < 100
