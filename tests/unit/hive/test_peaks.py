"""The most that each worker has used."""

from __future__ import annotations

from typing import Any

from rbee.contract.wire import ProcessStats
from rbee.hive.peaks import Peaks


def sample(worker_id: str = "w", pid: int = 1, **figures: Any) -> ProcessStats:
    return ProcessStats(pid=pid, worker_id=worker_id, **figures)


def told(peaks: Peaks, *samples: ProcessStats) -> list[tuple[int | None, int | None]]:
    return [(one.rss_peak_mb, one.vram_peak_mb) for one in peaks.raised(samples)]


def test_a_peak_rises_and_stays() -> None:
    peaks = Peaks()
    assert told(peaks, sample(rss_mb=5, vram_mb=2)) == [(5, 2)]
    assert told(peaks, sample(rss_mb=3, vram_mb=9)) == [(5, 9)]
    assert told(peaks, sample(rss_mb=7, vram_mb=1)) == [(7, 9)]


def test_what_came_and_went_between_two_samples_is_in_it_where_the_system_knows() -> None:
    assert told(Peaks(), sample(rss_mb=5, rss_peak_mb=50)) == [(50, None)]


def test_what_is_unknown_stays_unknown_and_forgets_nothing() -> None:
    peaks = Peaks()
    assert told(peaks, sample()) == [(None, None)]
    assert told(peaks, sample(rss_mb=4)) == [(4, None)]
    assert told(peaks, sample()) == [(4, None)]


def test_another_process_under_an_id_begins_anew_and_who_has_ended_is_forgotten() -> None:
    peaks = Peaks()
    assert told(peaks, sample(rss_mb=9), sample("v", 2, rss_mb=1)) == [(9, None), (1, None)]
    assert told(peaks, sample(pid=3, rss_mb=4)) == [(4, None)]
    assert told(peaks, sample("v", 2, rss_mb=0)) == [(0, None)]
