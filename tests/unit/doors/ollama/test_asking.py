"""Ollama's requests as the worker gets them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from unit.doors.scripted import Models, Scripted, visit, whole, worker

HI = [{"role": "user", "content": "hi"}]
CHAT: dict[str, Any] = {"model": "demo", "messages": HI, "stream": False}
ASK: dict[str, Any] = {"model": "demo", "prompt": "hi", "stream": False}
PNG = "iVBORw0KGgoAAAANSUhEUg"


async def chat_of(**more: Any) -> dict[str, Any]:
    calls = Scripted(whole({"content": "x"}))
    answer = await visit(calls, "/api/chat", CHAT | more, models=Models(worker(context_length=4096)))
    assert answer.status == 200, answer.body
    assert calls.calls[0].path == "/v1/chat/completions"
    return calls.body


async def refused(path: str, body: dict[str, Any], *models: Any) -> str:
    answer = await visit(Scripted(whole({"content": "x"})), path, body, models=Models(*models))
    assert answer.status == 400, answer.body
    assert list(answer.json) == ["error"]
    return answer.json["error"]


async def test_the_least_chat_asks_for_no_more_than_it_says() -> None:
    assert await chat_of() == {"model": "demo", "messages": HI}


async def test_an_answer_is_streamed_unless_asked_otherwise() -> None:
    calls = Scripted(stream=True)
    await visit(calls, "/api/chat", {"model": "demo", "messages": HI})
    assert calls.body["stream"] is True
    assert calls.body["stream_options"] == {"include_usage": True}


async def test_options_go_over_with_openais_names() -> None:
    options = {
        "temperature": 0, "top_k": 3, "top_p": 0.5, "min_p": 0.1, "seed": 7, "num_predict": 12, "stop": ["END"],
        "repeat_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": 0.3, "num_ctx": 2048,
    }  # fmt: skip
    body = await chat_of(options=options)
    carried = {name: value for name, value in options.items() if name not in {"num_predict", "num_ctx"}}
    assert body == {"model": "demo", "messages": HI, "max_tokens": 12} | carried


async def test_no_limit_and_a_random_seed_are_what_happens_without_them() -> None:
    assert await chat_of(options={"num_predict": -1, "seed": -1}) == {"model": "demo", "messages": HI}


async def test_a_format_goes_over_as_a_schema() -> None:
    assert (await chat_of(format="json"))["response_format"] == {"type": "json_object"}
    assert (await chat_of(format={"type": "object"}))["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert "response_format" not in await chat_of(format="")


async def test_tools_go_over_and_their_answers_find_their_calls() -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    calls = [{"function": {"name": name, "arguments": {"city": name}}} for name in ("a", "b", "a")]
    told = await chat_of(
        tools=[tool],
        messages=[
            *HI,
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "tool_name": "b", "content": "of b"},
            {"role": "tool", "content": "of a"},
            {"role": "tool", "tool_name": "a", "content": "of a again"},
        ],
    )
    assert told["tools"] == [tool]
    ids = [call["id"] for call in told["messages"][1]["tool_calls"]]
    assert len(set(ids)) == 3
    assert json.loads(told["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {"city": "a"}
    assert [message["tool_call_id"] for message in told["messages"][2:]] == [ids[1], ids[0], ids[2]]


async def test_images_go_over_with_their_kind() -> None:
    told = await chat_of(messages=[{"role": "user", "content": "what?", "images": [PNG, "/9j/4AAQ"]}])
    urls = [part["image_url"]["url"] for part in told["messages"][0]["content"][1:]]
    assert urls == [f"data:image/png;base64,{PNG}", "data:image/jpeg;base64,/9j/4AAQ"]


async def test_thinking_is_asked_of_the_template() -> None:
    assert (await chat_of(think=False))["chat_template_kwargs"] == {"enable_thinking": False}


@pytest.mark.parametrize("value", [0.5, 300, -1, "5m", "1h30m", "-1m", "0", "1.5s"])
async def test_a_time_to_keep_the_model_is_taken(value: Any) -> None:
    assert await chat_of(keep_alive=value) == {"model": "demo", "messages": HI}


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"keep_alive": "soon"}, "'keep_alive'"),
        ({"options": {"num_gpu": 1}}, "'options.num_gpu'"),
        ({"options": {"mirostat": 1}}, "'options.mirostat'"),
        ({"options": {"num_predict": 0}}, "'options.num_predict'"),
        ({"options": {"num_ctx": 8192}}, "'options.num_ctx'"),
        ({"truncate": True}, "'truncate'"),
        ({"think": "high"}, "'think'"),
        ({"format": "xml"}, "'format'"),
        ({"nonsense": 1}, "'nonsense'"),
        ({"model": ""}, "'model'"),
        ({"messages": [{"role": "robot", "content": ""}]}, "'messages[0].role'"),
        ({"messages": [{"role": "tool", "content": "3"}]}, "'messages[0]'"),
        ({"messages": [{"role": "user", "content": "", "images": ["AAAA"]}]}, "'messages[0].images[0]'"),
    ],
)
async def test_what_cannot_be_carried_is_refused_by_its_name(more: dict[str, Any], named: str) -> None:
    assert named in await refused("/api/chat", CHAT | more, worker(context_length=4096))


async def test_a_context_is_judged_by_the_worker_that_was_loaded_for_it() -> None:
    calls = Scripted(whole({"content": "x"}))
    models = Models()
    models.workers = lambda: [worker(context_length=512)] if calls.calls else []  # type: ignore[method-assign]
    fits = await visit(calls, "/api/chat", CHAT | {"options": {"num_ctx": 512}}, models=models)
    assert fits.status == 200
    calls.calls.clear()
    large = await visit(calls, "/api/chat", CHAT | {"options": {"num_ctx": 513}}, models=models)
    assert (large.status, calls.left_early) == (400, True)
    assert "has 512 tokens" in large.json["error"]


async def test_a_context_that_nobody_tells_is_not_promised() -> None:
    assert "does not tell" in await refused("/api/chat", CHAT | {"options": {"num_ctx": 5}}, worker())


async def test_a_prompt_is_a_chat_and_a_raw_one_a_completion() -> None:
    calls = Scripted(whole({"content": "x"}))
    await visit(calls, "/api/generate", ASK | {"system": "be brief", "images": [PNG]})
    assert calls.calls[0].path == "/v1/chat/completions"
    assert [message["role"] for message in calls.body["messages"]] == ["system", "user"]
    await visit(calls, "/api/generate", ASK | {"raw": True, "options": {"num_predict": 4}})
    assert (calls.calls[1].path, calls.calls[1].door) == ("/v1/completions", "/api/generate")
    assert calls.body == {"model": "demo", "prompt": "hi", "max_tokens": 4}


@pytest.mark.parametrize(
    "more",
    [{"suffix": "}"}, {"template": "{{ .Prompt }}"}, {"context": [1, 2]}, {"raw": True, "system": "x"}],
)
async def test_what_a_prompt_cannot_have_is_refused_by_its_name(more: dict[str, Any]) -> None:
    assert repr(list(more)[-1]) in await refused("/api/generate", ASK | more)


@pytest.mark.parametrize(("path", "body"), [("/api/generate", {}), ("/api/chat", {"keep_alive": "5m"})])
async def test_a_request_without_a_prompt_has_the_model_loaded(path: str, body: dict[str, Any]) -> None:
    calls = Scripted(whole({"content": "x"}))
    answer = await visit(calls, path, {"model": "demo", **body})
    assert calls.body["max_tokens"] == 1
    assert (answer.lines[0]["done"], answer.lines[0]["done_reason"]) == (True, "load")


@pytest.mark.parametrize(("keep", "told"), [("5m", b"300"), (-1, b"-1"), (".5s", b"0.5")])
async def test_how_long_the_model_is_kept_is_told_to_the_gateway(keep: Any, told: bytes) -> None:
    calls = Scripted(whole({"content": "x"}))
    answer = await visit(calls, "/api/generate", {"model": "demo", "keep_alive": keep})
    assert dict(calls.calls[0].headers)[b"x-rbee-keep-alive"] == told
    assert answer.lines[0]["done_reason"] == "load"
    asked = Scripted(whole({"content": "x"}))
    await visit(asked, "/api/generate", {"model": "demo", "prompt": "hi", "keep_alive": 0, "stream": False})
    assert dict(asked.calls[0].headers)[b"x-rbee-keep-alive"] == b"0"


@pytest.mark.parametrize(("path", "keep"), [("/api/generate", 0), ("/api/chat", "0s")])
async def test_a_model_that_shall_not_be_kept_is_unloaded_and_nobody_asked(path: str, keep: Any) -> None:
    calls, models = Scripted(whole({"content": "x"})), Models(worker())
    answer = await visit(calls, path, {"model": "demo", "keep_alive": keep}, models=models)
    assert (answer.lines[0]["done"], answer.lines[0]["done_reason"]) == (True, "unload")
    assert models.expired == ["demo"]
    assert calls.calls == []


async def test_texts_to_embed_go_over() -> None:
    calls = Scripted(b'{"data":[{"embedding":[1.5],"index":0}]}')
    await visit(calls, "/api/embed", {"model": "demo", "input": ["a", "b"], "dimensions": 4})
    assert calls.calls[0].path == "/v1/embeddings"
    assert calls.body == {"model": "demo", "input": ["a", "b"], "encoding_format": "float", "dimensions": 4}
    assert "'truncate'" in await refused("/api/embed", {"model": "demo", "input": "a", "truncate": True})
    hot = {"model": "demo", "prompt": "a", "options": {"temperature": 1}}
    assert "'options.temperature'" in await refused("/api/embeddings", hot)
