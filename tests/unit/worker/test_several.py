"""Streams of several answers, with one usage of all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rbee.worker.several import OneUsage, asked


def event(**chunk: Any) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def usage(tokens: int, prompt: int = 4) -> dict[str, int]:
    return {"completion_tokens": tokens, "prompt_tokens": prompt, "total_tokens": tokens + prompt}


async def passed(n: int, prompts: int, *pieces: bytes, kind: bytes = b"text/event-stream") -> list[str]:
    told: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    one = OneUsage(send, n, prompts)
    await one({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    for piece in pieces:
        await one({"type": "http.response.body", "body": piece, "more_body": True})
    await one({"type": "http.response.body", "body": b"", "more_body": False})
    assert told[-1]["more_body"] is False
    text = b"".join(message.get("body", b"") for message in told).decode()
    return [one.removeprefix("data: ") for one in text.split("\n\n") if one]


DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("cut", [1, 7, 10_000])
async def test_the_figures_of_all_come_once_and_last(cut: int) -> None:
    text = (
        b"data: null\n\n"
        + event(choices=[{"index": 1, "text": "a"}])
        + event(choices=[{"index": 1, "text": "", "finish_reason": "stop"}], usage=usage(3), timings={"predicted_n": 3})
        + event(choices=[{"index": 0, "text": "b"}])
        + event(choices=[], usage=usage(5), timings={"predicted_n": 5})
        + DONE
    )
    *texts, last, done = await passed(2, 1, *(text[at : at + cut] for at in range(0, len(text), cut)))
    assert done == "[DONE]"
    assert [json.loads(one) for one in texts] == [
        None,
        {"choices": [{"index": 1, "text": "a"}]},
        {"choices": [{"index": 1, "text": "", "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "text": "b"}]},
    ]
    assert json.loads(last) == {"choices": [], "usage": usage(8), "timings": {"predicted_n": 8}}


async def test_figures_that_are_not_of_one_answer_each_are_not_added_up() -> None:
    pieces = (event(choices=[{"index": 0, "text": "a"}], usage=usage(1)), event(choices=[], usage=usage(2)), DONE)
    *_, last, _ = await passed(3, 1, *pieces)
    assert json.loads(last)["usage"] == usage(2)


async def test_what_is_no_stream_and_a_stream_without_figures_is_passed_on() -> None:
    body = json.dumps({"usage": usage(3)}).encode() + b"\n\n"
    assert await passed(2, 1, body, kind=b"application/json") == [body.decode().strip()]
    assert await passed(2, 1, event(choices=[]), DONE) == ['{"choices": []}', "[DONE]"]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, (1, 1)),
        ({"n": 3}, (3, 1)),
        ({"n": None, "prompt": "one"}, (1, 1)),
        ({"n": "3", "prompt": ["a", "b"]}, (1, 2)),
        ({"prompt": [5, 6, 7]}, (1, 1)),
        ({"n": 2, "prompt": [[5, 6], [7]]}, (2, 2)),
    ],
)
def test_how_many_answers_are_asked_for(body: dict[str, Any], found: tuple[int, int]) -> None:
    assert asked(body) == found
