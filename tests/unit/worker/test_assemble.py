"""A whole answer out of a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from rbee.contract.errors import WorkerFailedError
from rbee.worker.assemble import as_stream, assemble

CHAT, PLAIN = "/v1/chat/completions", "/v1/completions"


async def stream(*chunks: Any, done: bool = True) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield b"data: " + msgspec.json.encode(chunk) + b"\n\n"
    if done:
        yield b"data: [DONE]\n\n"


def piece(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


async def test_text_is_joined_and_the_figures_are_kept() -> None:
    whole = await assemble(
        CHAT,
        stream(
            piece(role="assistant", content=None),
            piece(content="Py"),
            piece(content="thon"),
            piece("stop"),
            {"id": "c-1", "choices": [], "usage": {"total_tokens": 9}, "timings": {"n": 1}},
        ),
    )
    assert whole == {
        "id": "c-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Python"}, "finish_reason": "stop"}],
        "usage": {"total_tokens": 9},
        "timings": {"n": 1},
    }


async def test_reasoning_is_kept_apart_from_the_answer() -> None:
    whole = await assemble(
        CHAT, stream(piece(reasoning_content="hm"), piece(reasoning_content="m"), piece("stop", content="a"))
    )
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "a", "reasoning_content": "hmm"}


async def test_tool_calls_are_put_together_by_their_index() -> None:
    def call(index: int, **more: Any) -> dict[str, Any]:
        return piece(tool_calls=[{"index": index, **more}])

    whole = await assemble(
        CHAT,
        stream(
            call(0, id="a", type="function", function={"name": "get_weather", "arguments": ""}),
            call(0, function={"arguments": '{"city":'}),
            call(1, id="b", type="function", function={"name": "now", "arguments": "{}"}),
            call(0, function={"arguments": '"Rome"}'}),
            piece("tool_calls"),
        ),
    )
    assert whole["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}, "id": "a"},
            {"type": "function", "function": {"name": "now", "arguments": "{}"}, "id": "b"},
        ],
    }


async def test_a_plain_completion_is_joined_too() -> None:
    def text(value: str, finish: str | None = None) -> dict[str, Any]:
        return {
            "object": "text_completion",
            "choices": [{"index": 0, "text": value, "logprobs": None, "finish_reason": finish}],
        }

    whole = await assemble(PLAIN, stream(text("a "), text("b"), text("", "length")))
    assert whole == {
        "object": "text_completion",
        "choices": [{"index": 0, "text": "a b", "logprobs": None, "finish_reason": "length"}],
    }


@pytest.mark.parametrize(
    ("chunks", "told"),
    [
        ([piece(content="a")], "without a reason"),
        ([], "without a reason"),
        ([piece(content="a"), {"error": {"message": "out of memory", "code": 500}}], "out of memory"),
        ([{"error": "burst"}], "burst"),
    ],
)
async def test_half_an_answer_is_an_error(chunks: list, told: str) -> None:
    with pytest.raises(WorkerFailedError, match=told):
        await assemble(CHAT, stream(*chunks, done=False))


def test_the_stream_is_asked_for_with_its_usage_and_everything_else_as_it_was() -> None:
    body = {"model": "m", "messages": [], "tools": [1], "seed": 5, "n": 3}
    assert as_stream(CHAT, body) == {**body, "stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize("more", [{"logprobs": True}, {"logprobs": 3}, {"best_of": 2}])
def test_what_a_stream_tells_in_other_shapes_is_left_to_the_engine(more: dict) -> None:
    assert as_stream(CHAT, {"model": "m", **more}) is None
    assert as_stream("/v1/embeddings", {"model": "m"}) is None


def answer(index: int, tokens: int, prompt: int = 13, cached: int = 12) -> list[dict[str, Any]]:
    usage = {
        "completion_tokens": tokens,
        "prompt_tokens": prompt,
        "total_tokens": tokens + prompt,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    timings = {
        "cache_n": cached,
        "prompt_n": prompt - cached,
        "prompt_ms": 1.5,
        "predicted_n": tokens,
        "predicted_ms": 2.0 * tokens,
    }
    return [
        {"choices": [{"index": index, "delta": {"content": f"answer {index}"}, "finish_reason": None}]},
        {"choices": [{"index": index, "delta": {}, "finish_reason": "length"}]},
        {"choices": [], "usage": usage, "timings": timings},
    ]


async def test_of_several_answers_all_tokens_count_and_the_prompt_once() -> None:
    chunks = [None, *answer(1, 8), *answer(2, 5), *answer(0, 3, cached=0)]
    whole = await assemble(CHAT, stream(*chunks), 3)
    assert [one["message"]["content"] for one in whole["choices"]] == ["answer 0", "answer 1", "answer 2"]
    assert whole["usage"] == {
        "completion_tokens": 16,
        "prompt_tokens": 13,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert (whole["timings"]["predicted_n"], whole["timings"]["predicted_ms"]) == (16, 32.0), "the speed of one"
    assert (whole["timings"]["prompt_n"], whole["timings"]["prompt_ms"]) == (13, 1.5), "of the one that computed it"


async def test_of_several_prompts_each_counts() -> None:
    whole = await assemble(CHAT, stream(*answer(0, 2, prompt=2, cached=1), *answer(1, 2, prompt=5, cached=3)))
    assert whole["usage"] == {
        "completion_tokens": 4,
        "prompt_tokens": 7,
        "total_tokens": 11,
        "prompt_tokens_details": {"cached_tokens": 4},
    }


async def test_an_engine_that_tells_one_usage_of_all_is_believed() -> None:
    told = {"completion_tokens": 9, "prompt_tokens": 4, "total_tokens": 13}
    whole = await assemble(CHAT, stream(*answer(0, 5)[:2], *answer(1, 4)[:2], {"choices": [], "usage": told}), 2)
    assert whole["usage"] == told
