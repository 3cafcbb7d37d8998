"""Anthropic's requests as the worker gets them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from unit.doors.scripted import Scripted, visit, whole

ASK = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
TOOL = {"name": "weather", "description": "of a city", "input_schema": {"type": "object"}}


async def body_of(**more: Any) -> dict[str, Any]:
    calls = Scripted(whole({"content": "x"}))
    answer = await visit(calls, "/v1/messages", ASK | more)
    assert answer.status == 200, answer.body
    assert calls.calls[0].path == "/v1/chat/completions"
    return calls.body


async def messages_of(*messages: dict[str, Any], **more: Any) -> list[Any]:
    return (await body_of(messages=list(messages), **more))["messages"]


async def refused(**more: Any) -> str:
    answer = await visit(Scripted(), "/v1/messages", ASK | more)
    assert (answer.status, answer.json["type"]) == (400, "error")
    assert answer.json["error"]["type"] == "invalid_request_error"
    return answer.json["error"]["message"]


async def test_the_least_request_asks_for_no_more_than_it_says() -> None:
    assert await body_of() == {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


async def test_sampling_goes_over_with_openais_names() -> None:
    body = await body_of(
        temperature=0.5, top_p=0.9, top_k=4, stop_sequences=["END"], metadata={"user_id": "u"}, service_tier="auto"
    )
    told = {name: body[name] for name in ("temperature", "top_p", "top_k", "stop", "user")}
    assert told == {"temperature": 0.5, "top_p": 0.9, "top_k": 4, "stop": ["END"], "user": "u"}


async def test_the_system_prompt_comes_first_as_one_text_or_as_parts() -> None:
    assert (await messages_of(ASK["messages"][0], system="be brief"))[0] == {"role": "system", "content": "be brief"}
    one = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    assert (await messages_of(ASK["messages"][0], system=[one]))[0]["content"] == "a"
    two = (await messages_of(ASK["messages"][0], system=[one, {"type": "text", "text": "b"}]))[0]
    assert two["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


async def test_images_go_over_as_addresses() -> None:
    inline = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    linked = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    told = await messages_of({"role": "user", "content": [inline, linked, {"type": "text", "text": "what?"}]})
    assert told[0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "text", "text": "what?"},
    ]


async def test_a_conversation_with_tools_keeps_its_order_and_ids() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}
    results = [
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "3 degrees"}]},
        {"type": "tool_result", "tool_use_id": "t2", "content": "no such city", "is_error": True},
        {"type": "text", "text": "well?"},
    ]
    told = await messages_of(
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}, call]},
        {"role": "user", "content": results},
        tools=[TOOL],
    )
    assert told[1]["content"] is None
    assert told[1]["reasoning_content"] == "hm"
    assert told[1]["tool_calls"][0]["id"] == "t1"
    assert json.loads(told[1]["tool_calls"][0]["function"]["arguments"]) == {"city": "Oslo"}
    assert told[2:] == [
        {"role": "tool", "tool_call_id": "t1", "content": "3 degrees"},
        {"role": "tool", "tool_call_id": "t2", "content": "Error: no such city"},
        {"role": "user", "content": "well?"},
    ]


@pytest.mark.parametrize(
    ("choice", "told", "parallel"),
    [
        (None, None, True),
        ({"type": "auto"}, "auto", True),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "none"}, "none", True),
        ({"type": "tool", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}, True),
    ],
)
async def test_tools_and_the_choice_among_them_go_over(choice: Any, told: Any, parallel: bool) -> None:
    body = await body_of(tools=[TOOL], tool_choice=choice)
    function = {"name": "weather", "description": "of a city", "parameters": {"type": "object"}}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert (body.get("tool_choice"), body["parallel_tool_calls"]) == (told, parallel)


async def test_a_schema_for_the_answer_goes_over() -> None:
    body = await body_of(output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}})
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}


async def test_no_thoughts_are_asked_of_the_template_and_a_budget_is_refused() -> None:
    assert (await body_of(thinking={"type": "disabled"}))["chat_template_kwargs"] == {"enable_thinking": False}
    assert "'thinking'" in await refused(thinking={"type": "enabled", "budget_tokens": 1024})


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"max_tokens": None}, "'max_tokens' is missing"),
        ({"max_tokens": 0}, "'max_tokens'"),
        ({"messages": []}, "'messages'"),
        ({"container": "c"}, "'container'"),
        ({"temperature": "hot"}, "'temperature'"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "'tools[0]"),
        ({"tool_choice": {"type": "any"}}, "'tool_choice'"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "'tool_choice.name' is missing"),
        ({"output_config": {"effort": "high"}}, "'output_config.effort'"),
        ({"messages": [{"role": "system", "content": "x"}]}, "'messages[0].role'"),
        ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, "'messages[0].content[0].type'"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "x": 1}]}]}, "content[0].x'"),
    ],
)
async def test_what_cannot_be_carried_is_refused_by_its_name(more: dict[str, Any], named: str) -> None:
    assert named in await refused(**more)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":"\xff"}', b"[" * 100_000])
async def test_a_body_that_is_no_object_is_a_bad_request(body: bytes) -> None:
    answer = await visit(Scripted(), "/v1/messages", body, max_body=200_000)
    assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")


async def test_counting_tokens_is_refused_and_says_where_they_are_told() -> None:
    answer = await visit(Scripted(), "/v1/messages/count_tokens", ASK)
    assert (answer.status, answer.json["error"]["type"]) == (404, "not_found_error")
    assert "usage" in answer.json["error"]["message"]
