"""The official clients of each API, over HTTP, in front of a scripted worker that can do what small models cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic
import httpx2
import ollama
import openai
import pytest
from rbee.contract.errors import QueueFullError
from rbee.doors import door_error, make_doors
from rbee.gateway.calls import Calls
from rbee.http.front import Front
from rbee.http.guard import Guard
from rbee.http.ports import listen, port_of
from rbee.http.server import HttpServer
from unit.doors.scripted import BROKEN, HELLO, THOUGHT, TOOLS, Models, Scripted, whole, worker

TOKEN = "the-colonys-own-token"
HI = [{"role": "user", "content": "hi"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}
CALLED = whole(
    {"content": None, "tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}]},
    "tool_calls",
)


async def nothing(scope, receive, send) -> None:
    """An application without routes of its own."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def served(calls: Calls, *, require_token: bool = False) -> AsyncIterator[str]:
    """The doors on a port of their own."""
    sock = listen("127.0.0.1", 0, "the doors")
    guard = Guard(token=TOKEN, host="127.0.0.1", require_token=require_token)
    doors = make_doors(calls, Models(worker(context_length=4096)))
    server = HttpServer(Front(nothing, guard, doors=doors, door_error=door_error), sock, grace_s=1)
    await server.start()
    try:
        yield f"http://127.0.0.1:{port_of(sock)}"
    finally:
        await server.stop()


@asynccontextmanager
async def claude(calls: Calls, *, key: str = "unused", require_token: bool = False):
    async with (
        served(calls, require_token=require_token) as url,
        anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as client,
    ):
        yield client


@asynccontextmanager
async def llama(calls: Calls):
    async with served(calls) as url, ollama.AsyncClient(url) as client:
        yield client


@asynccontextmanager
async def gpt(calls: Calls):
    async with served(calls) as url, openai.AsyncOpenAI(base_url=url + "/v1", api_key="x", max_retries=0) as client:
        yield client


async def test_anthropics_client_reads_text_whole_and_streamed() -> None:
    async with claude(Scripted(whole({"content": "hello"}))) as client:
        message = await client.messages.create(model="m", max_tokens=9, messages=HI)
    assert (message.content[0].text, message.stop_reason, message.usage.input_tokens) == ("hello", "end_turn", 5)
    assert message._request_id
    async with (
        claude(Scripted(HELLO, stream=True)) as client,
        client.messages.stream(model="m", max_tokens=9, messages=HI) as stream,
    ):
        assert [text async for text in stream.text_stream] == ["hel", "lo"]
        final = await stream.get_final_message()
    assert (final.content[0].text, final.stop_reason) == ("hello", "end_turn")
    assert (final.usage.input_tokens, final.usage.output_tokens) == (5, 3)


async def test_anthropics_client_reads_calls_of_tools_whole_and_streamed() -> None:
    tools = [{"name": "weather", "input_schema": WEATHER}]
    async with claude(Scripted(CALLED)) as client:
        message = await client.messages.create(model="m", max_tokens=9, messages=HI, tools=tools)
    assert (message.stop_reason, message.content[0].input) == ("tool_use", {"city": "Oslo"})
    async with (
        claude(Scripted(TOOLS, stream=True)) as client,
        client.messages.stream(model="m", max_tokens=9, messages=HI, tools=tools) as stream,
    ):
        final = await stream.get_final_message()
    assert [block.type for block in final.content] == ["text", "tool_use", "tool_use"]
    assert (final.content[1].input, final.content[2].input) == ({"city": "Oslo"}, {})


async def test_an_answer_of_anthropics_client_can_be_sent_back() -> None:
    tools = [{"name": "weather", "input_schema": WEATHER}]
    calls = Scripted(TOOLS, stream=True)
    async with claude(calls) as client:
        async with client.messages.stream(model="m", max_tokens=9, messages=HI, tools=tools) as stream:
            final = await stream.get_final_message()
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "3"}
            for block in final.content
            if block.type == "tool_use"
        ]
        turn = [*HI, {"role": "assistant", "content": final.content}, {"role": "user", "content": results}]
        async with client.messages.stream(model="m", max_tokens=9, messages=turn, tools=tools) as stream:
            await stream.until_done()
    roles = [message["role"] for message in calls.body["messages"]]
    assert roles == ["user", "assistant", "tool", "tool"]


async def test_anthropics_client_raises_its_own_errors() -> None:
    async with claude(Scripted(), require_token=True) as client:
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.create(model="m", max_tokens=9, messages=HI)
    async with claude(Scripted(opening=QueueFullError("full"))) as client:
        with pytest.raises(anthropic.APIStatusError, match="full") as overloaded:
            await client.messages.create(model="m", max_tokens=9, messages=HI)
        assert overloaded.value.status_code == 529
        with pytest.raises(anthropic.BadRequestError, match="container"):
            await client.messages.create(model="m", max_tokens=9, messages=HI, extra_body={"container": "c"})
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.count_tokens(model="m", messages=HI)
    async with claude(Scripted(BROKEN, stream=True)) as client:
        stream = client.messages.stream(model="m", max_tokens=9, messages=HI)
        async with stream as events:
            with pytest.raises(anthropic.APIStatusError, match="before it was complete"):
                await events.until_done()


async def test_anthropics_key_is_the_token() -> None:
    calls = Scripted(whole({"content": "hello"}))
    async with claude(calls, key=TOKEN, require_token=True) as client:
        await client.messages.create(model="m", max_tokens=9, messages=HI)
    assert calls.calls[0].trusted is True
    assert calls.calls[0].local is True


async def test_ollamas_client_reads_chats_and_prompts_whole_and_streamed() -> None:
    async with llama(Scripted(whole({"content": "hello"}))) as client:
        chat = await client.chat("demo", HI, options={"num_ctx": 4096}, keep_alive="5m")
        prompt = await client.generate("demo", "hi", system="be brief")
    assert (chat.message.content, chat.done_reason, chat.eval_count) == ("hello", "stop", 3)
    assert prompt.response == "hello"
    async with llama(Scripted(HELLO, stream=True)) as client:
        assert [part.message.content async for part in await client.chat("demo", HI, stream=True)] == ["hel", "lo", ""]
        assert "".join([part.response async for part in await client.generate("demo", "hi", stream=True)]) == "hello"


async def test_ollamas_client_reads_calls_of_tools_and_sends_them_back() -> None:
    def weather(city: str) -> str:
        """Of a city.

        Args:
            city: its name.
        """
        return city

    calls = Scripted(CALLED)
    async with llama(calls) as client:
        chat = await client.chat("demo", HI, tools=[weather])
        assert chat.message.tool_calls[0].function.arguments == {"city": "Oslo"}
        assert calls.body["tools"][0]["function"]["name"] == "weather"
        await client.chat("demo", [*HI, chat.message, {"role": "tool", "tool_name": "weather", "content": "3"}])
    assert calls.body["messages"][2]["tool_call_id"] == calls.body["messages"][1]["tool_calls"][0]["id"]


async def test_ollamas_client_reads_what_is_there() -> None:
    async with llama(Scripted(b'{"data":[{"embedding":[1.5],"index":0}]}')) as client:
        assert [one.model for one in (await client.list()).models] == ["demo", "tiny"]
        assert (await client.ps()).models[0].context_length == 4096
        assert (await client.show("demo")).modelinfo["rbee.context_length"] == 4096
        assert (await client.embed("demo", "a")).embeddings == [[1.5]]
        assert (await client.embeddings("demo", "a")).embedding == [1.5]


async def test_ollamas_client_raises_its_own_errors() -> None:
    async with llama(Scripted(BROKEN, stream=True)) as client:
        with pytest.raises(ollama.ResponseError, match="none"):
            await client.show("none")
        with pytest.raises(ollama.ResponseError, match="num_gpu") as refused:
            await client.chat("demo", HI, options={"num_gpu": 1})
        assert refused.value.status_code == 400
        with pytest.raises(ollama.ResponseError, match="before it was complete"):
            assert [part async for part in await client.chat("demo", HI, stream=True)]


async def test_openais_client_reads_responses_whole_and_streamed() -> None:
    async with gpt(Scripted(whole({"content": "hello"}))) as client:
        response = await client.responses.create(model="m", input="hi", store=False)
    assert (response.output_text, response.status, response.usage.output_tokens) == ("hello", "completed", 3)
    async with (
        gpt(Scripted(THOUGHT, stream=True)) as client,
        client.responses.stream(model="m", input="hi") as stream,
    ):
        final = await stream.get_final_response()
    assert (final.output_text, [item.type for item in final.output]) == ("4", ["reasoning", "message"])


async def test_openais_client_reads_calls_and_sends_them_back() -> None:
    tools = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}]
    calls = Scripted(TOOLS, stream=True)
    async with gpt(calls) as client:
        async with client.responses.stream(model="m", input="hi", tools=tools) as stream:
            final = await stream.get_final_response()
        outputs = [
            {"type": "function_call_output", "call_id": item.call_id, "output": "3"}
            for item in final.output
            if item.type == "function_call"
        ]
        turn = [*HI, *final.output, *outputs]
        async with client.responses.stream(model="m", input=turn, tools=tools) as stream:
            await stream.until_done()
    assert [message["role"] for message in calls.body["messages"]] == ["user", "assistant", "tool", "tool"]
    assert calls.body["messages"][1]["content"] == "I look. "


async def test_openais_client_raises_its_own_errors() -> None:
    async with gpt(Scripted()) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.responses.create(model="m", input="hi", previous_response_id="resp_1")
    assert refused.value.param == "previous_response_id"


async def test_the_responses_door_is_under_the_prefix_too() -> None:
    async with served(Scripted(whole({"content": "hello"}))) as url, httpx2.AsyncClient() as client:
        answer = await client.post(f"{url}/openai/v1/responses", json={"model": "m", "input": "hi"})
    assert answer.json()["output"][0]["content"][0]["text"] == "hello"


async def test_a_door_asked_with_another_method_says_so_in_its_own_envelope() -> None:
    async with served(Scripted()) as url, httpx2.AsyncClient() as client:
        answer = await client.get(f"{url}/v1/messages")
    assert (answer.status_code, answer.json()["type"]) == (405, "error")
