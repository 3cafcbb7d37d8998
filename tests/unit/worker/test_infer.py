"""The worker's own inference route."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from rbee.contract.errors import ContextLengthError, WorkerFailedError
from rbee.worker.face import InferDelta
from rbee.worker.infer import as_events, as_whole


async def deltas(*found: InferDelta | Exception) -> AsyncGenerator[InferDelta]:
    for one in found:
        if isinstance(one, Exception):
            raise one
        yield one


async def events(*found: InferDelta | Exception) -> list[dict[str, Any]]:
    return [event async for event in as_events(deltas(*found), "req-1", "m")]


END = InferDelta(stop_reason="EOS", tokens=7)


async def test_an_answer_is_started_tokens_metrics_and_one_end() -> None:
    told = await events(InferDelta(text="a"), InferDelta(), InferDelta(text="b"), END)
    assert [event["type"] for event in told] == ["started", "token", "token", "metrics", "end"]
    assert [(event["t"], event["i"]) for event in told[1:3]] == [("a", 0), ("b", 1)]
    assert (told[0]["job_id"], told[0]["model"]) == ("req-1", "m")
    assert (told[-1]["tokens_out"], told[-1]["stop_reason"]) == (7, "EOS")


async def test_an_end_may_bring_the_last_text() -> None:
    told = await events(InferDelta(text="a", stop_reason="MAX_TOKENS"))
    assert [event["type"] for event in told] == ["started", "token", "metrics", "end"]
    assert told[-1]["tokens_out"] == 1


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([InferDelta(text="a"), WorkerFailedError("burst")], "WORKER_FAILED"),
        ([InferDelta(text="a")], "WORKER_FAILED"),
        ([], "WORKER_FAILED"),
    ],
    ids=["raised", "no reason", "nothing at all"],
)
async def test_an_answer_that_breaks_off_has_one_error_at_its_end(found: list, code: str) -> None:
    told = await events(*found)
    assert (told[-1]["type"], told[-1]["code"]) == ("error", code)
    assert [event["type"] in {"end", "error"} for event in told].count(True) == 1


async def test_an_error_before_the_first_piece_is_raised() -> None:
    with pytest.raises(ContextLengthError):
        await events(ContextLengthError("too long"))


async def test_a_whole_answer_is_put_together() -> None:
    answer = await as_whole(deltas(InferDelta(text="a"), InferDelta(text="b"), END))
    assert (answer.text, answer.tokens_generated, answer.stop_reason) == ("ab", 7, "EOS")
    assert (await as_whole(deltas())).stop_reason == "ERROR"
