"""What a finished request tells of its worker."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract.wire import RequestRecord
from rbee.queen.measuring import Measured, measured


def record(**changes: Any) -> RequestRecord:
    """A stream of 101 tokens after a prompt of 400, 100 of them cached, sent after half a second, in all 3.5 s."""
    facts: dict[str, Any] = {
        "request_id": "r", "path": "/v1/chat/completions", "model": "m", "worker_id": "w", "status": 200,
        "error_code": None, "first_byte_s": 0.2, "duration_s": 3.5, "bytes_out": 9000, "stream": True,
        "prompt_tokens": 400, "cached_tokens": 100, "completion_tokens": 101, "queue_s": 0.5, "first_text_s": 1.0,
    }  # fmt: skip
    return RequestRecord(**{**facts, **changes})


def test_a_streams_first_text_parts_its_prompt_from_its_answer() -> None:
    assert measured(record()) == Measured(300.0, 300, 50.0)


def test_the_workers_own_times_come_first() -> None:
    assert measured(record(prompt_s=0.5, decode_s=1.0)) == Measured(600.0, 300, 100.0)
    assert measured(record(prompt_s=0.5, decode_s=1.0, first_text_s=None)) == Measured(600.0, 300, 100.0)
    assert measured(record(prompt_s=0.5, decode_s=1.0, stream=False)) == Measured(600.0, 300, 100.0)


def test_of_a_prompt_of_which_nobody_knows_how_much_was_cached_nothing_is_told() -> None:
    assert measured(record(cached_tokens=None)) == Measured(None, 0, 50.0)
    assert measured(record(cached_tokens=390)).prefill_tok_s is None


def test_a_whole_answers_time_is_parted_by_the_speed_that_is_known() -> None:
    whole = record(stream=False, first_text_s=None, first_byte_s=4.0)
    assert measured(whole) == Measured()
    assert measured(whole, 150.0) == Measured(None, 0, 50.0)
    assert measured(whole, 80.0) == Measured(), "little is left of the time: it is more estimate than measurement"
    assert measured(whole, 1.0) == Measured()


def test_embeddings_are_all_prompt() -> None:
    found = record(stream=False, first_text_s=None, first_byte_s=1.5, completion_tokens=None, cached_tokens=0)
    assert measured(found).prefill_tok_s == pytest.approx(400 / 1.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": 499, "error_code": "REQUEST_CANCELED"},
        {"status": 200, "error_code": "WORKER_FAILED"},
        {"status": 400},
        {"continued": True},
        {"worker_id": None},
        {"prompt_tokens": None, "completion_tokens": None},
        {"first_text_s": None},
        {"attempts": 2},
        {"first_text_s": 2.999},
        {"prompt_tokens": 110, "completion_tokens": 7},
        {"prompt_tokens": 12, "completion_tokens": None},
    ],
    ids=[
        "the client left", "it broke off", "it was refused", "two workers answered", "nobody answered",
        "nothing is told", "no text, or a client that held it up", "an earlier worker's time is in it",
        "all came at once", "it is short", "more is cached than there is",
    ],
)  # fmt: skip
def test_what_says_nothing_is_not_measured(changes: dict[str, Any]) -> None:
    assert measured(record(**changes)) == Measured()


numbers = st.none() | st.floats() | st.floats(0, 100)
counts = st.none() | st.integers(-5, 10**9) | st.integers(0, 500)


@given(
    changes=st.fixed_dictionaries(
        {
            "first_byte_s": numbers,
            "first_text_s": numbers,
            "queue_s": numbers,
            "prompt_s": numbers,
            "decode_s": numbers,
            "duration_s": st.floats() | st.floats(0, 100),
            "prompt_tokens": counts,
            "cached_tokens": counts,
            "completion_tokens": counts,
            "stream": st.booleans(),
            "attempts": st.integers(0, 3),
        }
    ),
    prefill=st.none() | st.floats(1e-3, 1e7),
)
def test_whatever_a_record_says_a_measurement_is_finite_and_above_zero(
    changes: dict[str, Any], prefill: float | None
) -> None:
    found = measured(record(**changes), prefill)
    for tok_s in (found.prefill_tok_s, found.decode_tok_s):
        assert tok_s is None or (math.isfinite(tok_s) and tok_s > 0)
    assert found.prefill_tok_s is None or found.computed > 0
