"""The voice of a job."""

from __future__ import annotations

import pytest
from rbee.contract.wire import JobEvent
from rbee.jobs import Narrator


@pytest.fixture
def told() -> list[JobEvent]:
    return []


@pytest.fixture
def say(told: list[JobEvent]) -> Narrator:
    return Narrator("job-1", "cor", told.append)


def test_a_sentence_comes_in_columns_and_plain(say: Narrator, told: list[JobEvent]) -> None:
    say.say("hive", "fetch", "Fetching m", "m")
    assert told[0].formatted == "[hive      ] fetch             : Fetching m"
    assert (told[0].human, told[0].target, told[0].job_id, told[0].correlation_id) == (
        "Fetching m",
        "m",
        "job-1",
        "cor",
    )


def test_progress_is_rationed_but_its_end_always_told(say: Narrator, told: list[JobEvent]) -> None:
    for done in range(1001):
        say.progress("fetch", done, 1000)
    assert told[0].done == 0
    assert told[-1].done == 1000
    assert len(told) < 50


def test_progress_of_unknown_length_has_no_estimate(say: Narrator, told: list[JobEvent]) -> None:
    say.progress("fetch", 5, None)
    assert (told[0].total, told[0].eta_s, told[0].unit) == (None, None, "bytes")


def test_what_is_told_elsewhere_is_told_here_under_this_job(say: Narrator, told: list[JobEvent]) -> None:
    say.relay(JobEvent(type="data", job_id="job-9", emitted_at_ms=1, correlation_id="x", action="a", payload=[1]))
    assert (told[0].job_id, told[0].correlation_id, told[0].action, told[0].payload) == ("job-1", "cor", "a", [1])
    assert told[0].emitted_at_ms > 1


@pytest.mark.parametrize("kind", ["done", "error", "cancelled"])
def test_the_end_of_another_job_is_not_this_ones(say: Narrator, told: list[JobEvent], kind) -> None:
    say.relay(JobEvent(type=kind, job_id="job-9", emitted_at_ms=1))
    assert told == []
