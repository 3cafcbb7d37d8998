"""Answers as Ollama's clients get them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from unit.doors.scripted import BROKEN, CUT, FAILED, HELLO, THOUGHT, TOOLS, Scripted, events, piece, visit, whole

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
ASK = {"model": "demo", "prompt": "hi"}


async def lines(body: bytes, path: str = "/api/chat", ask: dict[str, Any] = CHAT) -> list[Any]:
    answer = await visit(Scripted(body, stream=True), path, ask)
    assert answer.headers[b"content-type"] == b"application/x-ndjson"
    return answer.lines


async def test_a_streamed_chat_is_a_line_for_each_piece() -> None:
    told = await lines(HELLO)
    assert [line["message"] for line in told] == [
        {"role": "assistant", "content": "hel"},
        {"role": "assistant", "content": "lo"},
        {"role": "assistant", "content": ""},
    ]
    assert [line["done"] for line in told] == [False, False, True]
    last = told[-1]
    assert (last["done_reason"], last["prompt_eval_count"], last["eval_count"]) == ("stop", 5, 3)
    assert last["total_duration"] > 0
    assert "eval_duration" not in last, "nobody told it"
    assert datetime.fromisoformat(told[0]["created_at"]).tzinfo is not None


async def test_a_streamed_prompt_has_responses() -> None:
    assert [line["response"] for line in await lines(HELLO, "/api/generate", ASK)] == ["hel", "lo", ""]


async def test_a_raw_prompt_is_answered_from_a_completion() -> None:
    stream = events({"choices": [{"text": "on"}]}, {"choices": [{"text": "", "finish_reason": "length"}]})
    told = await lines(stream, "/api/generate", ASK | {"raw": True})
    assert [line["response"] for line in told] == ["on", ""]
    assert told[-1]["done_reason"] == "length"


async def test_calls_come_whole_before_the_end() -> None:
    told = await lines(TOOLS)
    assert told[-2]["message"]["tool_calls"] == [
        {"function": {"name": "weather", "arguments": {"city": "Oslo"}}},
        {"function": {"name": "time", "arguments": {}}},
    ]
    assert told[-1]["done_reason"] == "stop"


async def test_thoughts_are_told_apart() -> None:
    assert [line["message"].get("thinking") for line in await lines(THOUGHT)] == ["hm", "m", None, None]


async def test_durations_are_those_that_the_engine_tells() -> None:
    timed = events(piece({"content": "x"}), piece({}, "stop") | {"timings": {"prompt_ms": 1.5, "predicted_ms": 2}})
    last = (await lines(timed))[-1]
    assert (last["prompt_eval_duration"], last["eval_duration"]) == (1_500_000, 2_000_000)
    assert "eval_count" not in last


@pytest.mark.parametrize(("stream", "said"), [(BROKEN, "before it was complete"), (FAILED, "it died")])
async def test_a_stream_that_breaks_ends_in_a_line_with_an_error(stream: bytes, said: str) -> None:
    told = await lines(stream)
    assert list(told[-1]) == ["error"]
    assert said in told[-1]["error"]


async def test_a_limit_is_told() -> None:
    assert (await lines(CUT))[-1]["done_reason"] == "length"


async def test_whole_answers_are_one_object() -> None:
    call = {"id": "c1", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    content = [{"token": "x", "logprob": -0.5, "bytes": [1], "top_logprobs": [{"token": "y", "logprob": -1}]}]
    body = whole({"content": "x", "reasoning_content": "hm", "tool_calls": [call]}, logprobs={"content": content})
    told = (await visit(Scripted(body), "/api/chat", CHAT | {"stream": False, "logprobs": True})).json
    assert told["message"] == {
        "role": "assistant",
        "content": "x",
        "thinking": "hm",
        "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}],
    }
    assert told["logprobs"] == [{"token": "x", "logprob": -0.5, "top_logprobs": [{"token": "y", "logprob": -1}]}]
    assert (told["done"], told["eval_count"]) == (True, 3)
    prompt = (await visit(Scripted(body), "/api/generate", ASK | {"stream": False})).json
    assert (prompt["response"], prompt["thinking"]) == ("x", "hm")


async def test_embeddings_come_in_the_order_of_the_texts() -> None:
    body = json.dumps(
        {"data": [{"embedding": [2.5], "index": 1}, {"embedding": [1], "index": 0}], "usage": {"prompt_tokens": 4}}
    ).encode()
    told = (await visit(Scripted(body), "/api/embed", {"model": "demo", "input": ["a", "b"]})).json
    assert (told["model"], told["embeddings"], told["prompt_eval_count"]) == ("demo", [[1.0], [2.5]], 4)
    old = await visit(Scripted(b'{"data":[{"embedding":[1.5],"index":0}]}'), "/api/embeddings", ASK)
    assert old.json == {"embedding": [1.5]}


async def test_embeddings_in_another_form_are_the_workers_failure() -> None:
    answer = await visit(Scripted(b'{"data":"AAAA"}'), "/api/embed", {"model": "demo", "input": "a"})
    assert (answer.status, list(answer.json)) == (500, ["error"])
