"""Answers as Anthropic's clients get them."""

from __future__ import annotations

from typing import Any

import pytest
from unit.doors.scripted import BROKEN, CUT, FAILED, HELLO, THOUGHT, TOOLS, Scripted, Visit, events, piece, visit, whole

ASK = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stop_sequences": ["END"]}


async def message(body: bytes) -> dict[str, Any]:
    answer = await visit(Scripted(body), "/v1/messages", ASK)
    assert answer.status == 200
    return answer.json


async def streamed(body: bytes) -> Visit:
    return await visit(Scripted(body, stream=True), "/v1/messages", ASK | {"stream": True})


async def test_a_whole_answer_is_a_message() -> None:
    told = await message(whole({"content": "hello"}))
    assert told.pop("id").startswith("msg_")
    assert told == {
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 3},
    }


async def test_thoughts_and_calls_are_blocks_of_their_own() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    told = await message(whole({"content": None, "reasoning_content": "hm", "tool_calls": [call]}, "tool_calls"))
    assert told["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
    ]
    assert told["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("finish", "more", "reason", "sequence"),
    [
        ("stop", {}, "end_turn", None),
        ("length", {}, "max_tokens", None),
        ("content_filter", {}, "refusal", None),
        ("stop", {"stop_reason": "END"}, "stop_sequence", "END"),
        ("stop", {"stop_reason": 151645}, "end_turn", None),
    ],
)
async def test_why_it_ended_is_told_in_anthropics_words(
    finish: str, more: dict[str, Any], reason: str, sequence: str | None
) -> None:
    told = await message(whole({"content": "x"}, finish, **more))
    assert (told["stop_reason"], told["stop_sequence"]) == (reason, sequence)


async def test_arguments_that_are_no_object_are_the_workers_failure() -> None:
    call = {"id": "c1", "function": {"name": "weather", "arguments": "[1"}}
    answer = await visit(Scripted(whole({"tool_calls": [call]}, "tool_calls")), "/v1/messages", ASK)
    assert (answer.status, answer.json["error"]["type"]) == (500, "api_error")
    assert "'weather'" in answer.json["error"]["message"]


async def test_a_call_that_the_limit_cut_off_is_not_told() -> None:
    call = {"id": "c1", "function": {"name": "weather", "arguments": '{"ci'}}
    told = await message(whole({"content": "so", "tool_calls": [call]}, "length"))
    assert (told["stop_reason"], [block["type"] for block in told["content"]]) == ("max_tokens", ["text"])


async def test_what_came_from_a_cache_is_counted_apart() -> None:
    cached = events(
        piece({"content": "x"}, "stop"),
        {"usage": {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}}},
    )
    usage = (await streamed(cached)).events[-2]["usage"]
    assert usage == {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 1}


async def test_a_stream_of_text_has_anthropics_events_in_order() -> None:
    answer = await streamed(HELLO)
    assert answer.headers[b"content-type"].startswith(b"text/event-stream")
    start, *rest = answer.events
    assert (start["type"], start["message"]["content"], start["message"]["stop_reason"]) == ("message_start", [], None)
    assert rest == [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"input_tokens": 5, "output_tokens": 3},
        },
        {"type": "message_stop"},
    ]


async def test_streamed_calls_are_blocks_one_after_the_other() -> None:
    told = (await streamed(TOOLS)).events
    blocks = [event["content_block"] for event in told if event["type"] == "content_block_start"]
    assert [block["type"] for block in blocks] == ["text", "tool_use", "tool_use"]
    assert [(block["id"], block["name"]) for block in blocks[1:]] == [("c1", "weather"), ("c2", "time")]
    parts = [event["delta"]["partial_json"] for event in told if event.get("index") == 1 and "delta" in event]
    assert "".join(parts) == '{"city":"Oslo"}'
    assert [event["index"] for event in told if event["type"] == "content_block_stop"] == [0, 1, 2]
    assert told[-2]["delta"]["stop_reason"] == "tool_use"


async def test_streamed_thoughts_come_before_the_text() -> None:
    told = (await streamed(THOUGHT)).events
    kinds = [event["delta"]["type"] for event in told if event["type"] == "content_block_delta"]
    assert kinds == ["thinking_delta", "thinking_delta", "text_delta"]


async def test_a_stream_that_the_limit_cut_says_so() -> None:
    assert (await streamed(CUT)).events[-2]["delta"]["stop_reason"] == "max_tokens"


@pytest.mark.parametrize(("stream", "said"), [(BROKEN, "before it was complete"), (FAILED, "it died")])
async def test_a_stream_that_breaks_ends_in_an_error_event(stream: bytes, said: str) -> None:
    told = (await streamed(stream)).events
    assert told[-1]["error"]["type"] == "api_error"
    assert said in told[-1]["error"]["message"]
    assert "message_stop" not in {event["type"] for event in told}
