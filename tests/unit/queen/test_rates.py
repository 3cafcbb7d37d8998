"""Speeds of workers: averages that nothing astray overturns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract.types import WorkerState
from rbee.contract.wire import RequestRecord
from rbee.queen.history import History
from rbee.queen.measuring import Measured
from rbee.queen.rates import Average, Kind, Rates, Speed, kind_of
from rbee.telemetry import WorkerEntry


def worker(worker_id: str = "w", **changes: Any) -> WorkerEntry:
    facts: dict[str, Any] = {
        "worker_id": worker_id, "model_id": "m", "implementation": "engine", "hive_id": "h", "device": "GPU-0",
        "slots_total": 4, "state": WorkerState.READY,
    }  # fmt: skip
    return WorkerEntry(**{**facts, **changes})


def prompt(tok_s: float, tokens: int = 1000) -> Measured:
    return Measured(prefill_tok_s=tok_s, computed=tokens)


def answer(tok_s: float) -> Measured:
    return Measured(decode_tok_s=tok_s)


def prefill_of(rates: Rates, entry: WorkerEntry) -> float:
    found = rates.speed(entry).prefill
    assert found is not None
    return found.tok_s


def test_a_worker_that_was_not_measured_has_no_speed() -> None:
    speed = Rates().speed(worker())
    assert (speed.prefill, speed.at(0), speed.at(7)) == (None, None, None)


def test_the_first_measurements_count_alike_and_later_ones_a_quarter() -> None:
    rates, entry = Rates(), worker()
    for tok_s in (90.0, 110.0, 100.0):
        rates.learn(entry, prompt(tok_s), 0)
    assert prefill_of(rates, entry) == pytest.approx(100.0)
    for _ in range(50):
        rates.learn(entry, prompt(100.0), 0)
    rates.learn(entry, prompt(140.0), 0)
    assert prefill_of(rates, entry) == pytest.approx(110.0)


def test_a_short_prompt_counts_less() -> None:
    rates, entry = Rates(), worker()
    rates.learn(entry, prompt(1000.0), 0)
    rates.learn(entry, prompt(600.0, tokens=32), 0)
    assert prefill_of(rates, entry) == pytest.approx(1000 - 400 / 2 / 8)


def test_what_went_astray_changes_little_and_a_worker_that_has_changed_is_followed() -> None:
    rates, entry = Rates(), worker()
    for _ in range(20):
        rates.learn(entry, answer(50.0), 0)
    rates.learn(entry, answer(1e6), 0)
    assert rates.speed(entry).at(0) == pytest.approx(62.5)
    for _ in range(40):
        rates.learn(entry, answer(5.0), 0)
    assert rates.speed(entry).at(0) == pytest.approx(5.0, rel=0.05)


def test_answers_are_kept_apart_by_how_many_ran_and_shared_beyond_what_was_measured() -> None:
    rates, entry = Rates(), worker()
    rates.learn(entry, answer(100.0), 0)
    rates.learn(entry, answer(60.0), 3)
    at = rates.speed(entry).at
    assert (at(0), at(2), at(3)) == (100.0, 60.0, 60.0)
    assert at(1) == 50.0, "two share what one has"
    assert at(7) == 30.0, "eight share what four have"


def test_with_fewer_than_were_ever_measured_it_is_as_quick_at_least() -> None:
    rates, entry = Rates(), worker()
    rates.learn(entry, answer(60.0), 7)
    assert rates.speed(entry).at(0) == 60.0


@given(st.lists(st.tuples(st.floats(0.01, 1e6), st.integers(0, 5000)), min_size=1, max_size=30), st.integers(0, 10_000))
def test_a_speed_lies_within_what_was_measured_or_is_a_share_of_it(taken: list[tuple[float, int]], beside: int) -> None:
    rates, entry = Rates(), worker()
    for tok_s, running in taken:
        rates.learn(entry, answer(tok_s), running)
    found = rates.speed(entry).at(beside)
    assert found is not None
    assert min(tok_s for tok_s, _ in taken) / (beside + 1) * 0.99 <= found
    assert found <= max(tok_s for tok_s, _ in taken) * 1.01
    assert len(rates.speed(entry).decode) == 11


def test_a_trial_voids_what_was_known_and_requests_go_on_from_it() -> None:
    rates, entry = Rates(), worker()
    rates.learn(entry, answer(10.0), 0)
    rates.learn(entry, answer(7.0), 1)
    rates.learn(entry, prompt(70.0), 0)
    rates.tried(entry, 1000.0, {1: 100.0, 4: 80.0})
    speed = rates.speed(entry)
    assert (prefill_of(rates, entry), speed.at(0), speed.at(1), speed.at(3)) == (1000.0, 100.0, 50.0, 80.0)
    rates.learn(entry, answer(150.0), 0)
    assert speed.at(0) == pytest.approx(112.5)
    rates.tried(entry, None, {})
    assert prefill_of(rates, entry) == 1000.0, "what could not be measured stays as it was"


def test_a_new_worker_begins_as_the_last_one_of_its_kind_and_moves_by_itself() -> None:
    past = Speed()
    past.prefill, past.decode[0] = Average(500.0, 9), Average(50.0, 9)
    asked: list[Kind] = []

    def of(kind: Kind) -> Speed:
        asked.append(kind)
        return past

    rates = Rates(of)
    speed = rates.speed(worker())
    assert prefill_of(rates, worker()) == 500.0
    assert speed.at(0) == 50.0
    assert asked == [Kind("m", "engine", "h", "GPU-0", 4)]
    rates.learn(worker(), prompt(800.0), 0)
    assert past.prefill.tok_s == 500.0


def test_what_was_measured_this_instant_is_known_of_the_kind_already() -> None:
    rates = Rates()
    rates.learn(worker("a"), answer(50.0), 0)
    assert rates.speed(worker("b")).at(0) == 50.0
    assert rates.speed(worker("c", device="GPU-1")).at(0) is None


def test_a_worker_has_a_kind_once_it_has_told_of_itself() -> None:
    loading = worker(slots_total=None, state=WorkerState.LOADING)
    assert kind_of(loading) is None
    assert kind_of(worker(slots_total=None)) == Kind("m", "engine", "h", "GPU-0", 0)
    assert kind_of(worker(hive_id=None)) is None
    past = Speed()
    past.prefill = Average(500.0)
    rates = Rates(lambda _: past)
    assert rates.speed(loading).prefill is None
    loading.slots_total, loading.state = 4, WorkerState.READY
    assert prefill_of(rates, loading) == 500.0


def test_one_that_tells_too_little_is_measured_and_collected_once_it_tells() -> None:
    rates, entry = Rates(), worker(hive_id=None)
    rates.learn(entry, answer(50.0), 0)
    assert rates.speed(entry).at(0) == 50.0
    assert rates.speed(worker("other", hive_id=None)).at(0) is None
    assert list(rates.collect()) == []
    entry.hive_id = "h"
    rates.learn(entry, answer(50.0), 0)
    assert [kind for kind, _ in rates.collect()] == [Kind("m", "engine", "h", "GPU-0", 4)]


def test_another_worker_under_the_same_id_begins_anew() -> None:
    rates, entry = Rates(), worker()
    rates.learn(entry, answer(50.0), 0)
    other = worker(model_id="larger")
    rates.learn(other, prompt(10.0), 0)
    assert rates.speed(other).at(0) is None


def test_what_is_new_is_collected_once_also_of_workers_that_are_gone() -> None:
    rates = Rates()
    rates.learn(worker("a"), answer(50.0), 0)
    rates.learn(worker("b", device="GPU-1"), answer(50.0), 0)
    rates.forget(lambda worker_id: worker_id != "a")
    assert sorted(kind.device for kind, _ in rates.collect()) == ["GPU-0", "GPU-1"]
    assert list(rates.collect()) == []
    assert rates.speed(worker("a")).at(0) is None


def test_an_answer_ran_beside_those_between_what_it_met_and_what_it_leaves() -> None:
    history, entry = History(), worker(reserved=1)
    told: dict[str, Any] = {
        "request_id": "r", "path": "/v1/chat/completions", "model": "m", "worker_id": "w", "status": 200,
        "error_code": None, "first_byte_s": 0.2, "duration_s": 3.5, "bytes_out": 9000, "stream": True,
        "completion_tokens": 101, "decode_s": 2.0,
    }  # fmt: skip
    history.finished(entry, RequestRecord(**told, beside=6))
    speed = history.rates.speed(entry)
    assert [average is not None for average in speed.decode[:4]] == [False, False, True, False]
    entry.reserved = 0
    history.finished(entry, RequestRecord(**told))
    assert history.view(entry).decode_tok_s == 50.0
    assert history.view(entry).prefill_tok_s is None
