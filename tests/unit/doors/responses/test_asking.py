"""Requests of the Responses API as the worker gets them."""

from __future__ import annotations

from typing import Any

import pytest
from unit.doors.scripted import Scripted, visit, whole

ASK: dict[str, Any] = {"model": "m", "input": "hi"}
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}


async def body_of(**more: Any) -> dict[str, Any]:
    calls = Scripted(whole({"content": "x"}))
    answer = await visit(calls, "/v1/responses", ASK | more)
    assert answer.status == 200, answer.body
    return calls.body


async def test_the_least_request_asks_for_no_more_than_it_says() -> None:
    assert await body_of() == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


async def test_instructions_and_sampling_go_over() -> None:
    body = await body_of(
        instructions="be brief",
        max_output_tokens=5,
        temperature=0,
        top_p=0.5,
        user="u",
        store=False,
        metadata={"a": "b"},
    )
    assert body["messages"][0] == {"role": "system", "content": "be brief"}
    told = {name: body[name] for name in ("max_tokens", "temperature", "top_p", "user")}
    assert told == {"max_tokens": 5, "temperature": 0, "top_p": 0.5, "user": "u"}


async def test_one_turn_of_the_model_becomes_one_message() -> None:
    body = await body_of(
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
            {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
            {"type": "message", "role": "assistant", "id": "x", "status": "completed",
             "content": [{"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}]},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}", "id": "f"},
            {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "3"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "4"}]},
            {"role": "assistant", "content": "one"},
            {"role": "assistant", "content": "two"},
        ]
    )  # fmt: skip
    user, turn, *rest = body["messages"]
    assert user == {"role": "user", "content": "weather?"}
    assert (turn["content"], turn["reasoning_content"]) == ("I look.", "hm")
    assert [call["id"] for call in turn["tool_calls"]] == ["c1", "c2"]
    assert rest == [
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
        {"role": "tool", "tool_call_id": "c2", "content": "4"},
        {"role": "assistant", "content": "one"},
        {"role": "assistant", "content": "two"},
    ]


async def test_images_go_over() -> None:
    parts = [{"type": "input_image", "image_url": "https://x/y.png", "detail": "low"}]
    body = await body_of(input=[{"role": "user", "content": parts}])
    assert body["messages"][0]["content"][0]["image_url"] == {"url": "https://x/y.png", "detail": "low"}


async def test_tools_go_over_with_the_choice_among_them() -> None:
    body = await body_of(tools=[TOOL], tool_choice={"type": "function", "name": "weather"}, parallel_tool_calls=False)
    function = {"name": "weather", "parameters": {"type": "object"}, "strict": True}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert body["parallel_tool_calls"] is False


async def test_a_format_goes_over() -> None:
    wanted = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    body = await body_of(text={"format": wanted})
    schema = {"name": "n", "schema": {"type": "object"}, "strict": True}
    assert body["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert (await body_of(text={"format": {"type": "json_object"}}))["response_format"] == {"type": "json_object"}
    assert "response_format" not in await body_of(text={"format": {"type": "text"}})


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"store": True}, "store"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "c"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"include": ["reasoning.encrypted_content"]}, "include"),
        ({"reasoning": {"effort": "low"}}, "reasoning"),
        ({"truncation": "auto"}, "truncation"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].type"),
    ],
)
async def test_what_cannot_be_carried_is_refused_by_its_name(more: dict[str, Any], param: str) -> None:
    answer = await visit(Scripted(), "/v1/responses", ASK | more)
    assert answer.status == 400
    assert answer.json["error"]["param"] == param
    assert repr(param) in answer.json["error"]["message"]
