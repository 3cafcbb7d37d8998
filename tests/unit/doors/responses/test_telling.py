"""Answers as clients of the Responses API get them."""

from __future__ import annotations

from typing import Any

import pytest
from unit.doors.scripted import BROKEN, CUT, FAILED, HELLO, THOUGHT, TOOLS, Scripted, visit, whole

ASK = {"model": "m", "input": "hi", "metadata": {"a": "b"}}


async def streamed(body: bytes) -> list[Any]:
    told = (await visit(Scripted(body, stream=True), "/v1/responses", ASK | {"stream": True})).events
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    return told


async def test_a_whole_answer_has_items_and_says_that_it_is_not_kept() -> None:
    call = {"id": "c1", "function": {"name": "weather", "arguments": "{}"}}
    body = whole({"content": "x", "reasoning_content": "hm", "tool_calls": [call]}, "tool_calls")
    told = (await visit(Scripted(body), "/v1/responses", ASK)).json
    assert (told["object"], told["status"], told["store"], told["metadata"]) == (
        "response", "completed", False, {"a": "b"},
    )  # fmt: skip
    assert [item["type"] for item in told["output"]] == ["reasoning", "message", "function_call"]
    assert (told["output"][2]["call_id"], told["output"][2]["arguments"]) == ("c1", "{}")
    assert told["usage"]["total_tokens"] == 8
    assert told["usage"]["input_tokens_details"] == {"cached_tokens": None}, "nobody told it"


async def test_a_stream_of_text_has_the_events_in_order() -> None:
    told = await streamed(HELLO)
    assert [event["type"] for event in told] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert told[6]["text"] == "hello"
    assert len({event["item_id"] for event in told if "item_id" in event}) == 1
    assert told[-1]["response"]["output"][0]["content"][0]["text"] == "hello"
    assert told[-1]["response"]["usage"]["input_tokens"] == 5


async def test_streamed_calls_are_items_of_their_own() -> None:
    told = await streamed(TOOLS)
    done = [event for event in told if event["type"] == "response.function_call_arguments.done"]
    assert [(event["name"], event["arguments"]) for event in done] == [("weather", '{"city":"Oslo"}'), ("time", "{}")]
    assert [event["output_index"] for event in done] == [1, 2]
    assert [item["type"] for item in told[-1]["response"]["output"]] == ["message", "function_call", "function_call"]


async def test_streamed_thoughts_are_an_item_before_the_message() -> None:
    told = await streamed(THOUGHT)
    assert [item["type"] for item in told[-1]["response"]["output"]] == ["reasoning", "message"]
    deltas = [event["delta"] for event in told if event["type"] == "response.reasoning_text.delta"]
    assert deltas == ["hm", "m"]


async def test_an_answer_that_the_limit_cut_is_incomplete() -> None:
    last = (await streamed(CUT))[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["response"]["output"][0]["status"] == "incomplete"
    told = (await visit(Scripted(whole({"content": "x"}, "length")), "/v1/responses", ASK)).json
    assert (told["status"], told["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


@pytest.mark.parametrize(("stream", "said"), [(BROKEN, "before it was complete"), (FAILED, "it died")])
async def test_a_stream_that_breaks_ends_as_failed(stream: bytes, said: str) -> None:
    last = (await streamed(stream))[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert said in last["response"]["error"]["message"]
