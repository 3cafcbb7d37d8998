"""The real client library against a real server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import openai
import pytest
import uvicorn

USER = [{"role": "user", "content": "hi"}]


@asynccontextmanager
async def listening(face):
    async def app(scope, receive, send):
        await face.openai(scope, receive, send)

    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_level="error", ws="none")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    serving = asyncio.create_task(server.main_loop())
    try:
        base_url = f"http://127.0.0.1:{port}/openai/v1"
        async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=10) as client:
            yield client
    finally:
        server.should_exit = True
        await serving
        await server.shutdown()


async def test_the_sdk_reads_whole_answers(engine_of, served):
    async with served(engine_of()) as face, listening(face) as client:
        said = await client.chat.completions.create(model="m", messages=USER)
        completed = await client.completions.create(model="m", prompt="x")
        cards = [card.id async for card in await client.models.list()]
    assert said.choices[0].message.content == "one two three"
    assert said.usage.total_tokens == 24
    assert completed.choices[0].text == "one two three"
    assert cards == ["gated:m"]


async def test_the_sdk_reads_streams(engine_of, served):
    async with served(engine_of()) as face, listening(face) as client:
        stream = await client.chat.completions.create(
            model="m", messages=USER, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "one two three"
    assert chunks[-1].usage.prompt_tokens == 21


async def test_the_sdk_raises_its_own_errors(engine_of, served):
    async with served(engine_of()) as face, listening(face) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="m", messages=USER, n=65)
    assert caught.value.param == "n"


async def test_the_sdk_hears_of_a_death_in_mid_answer(engine_of, served):
    engine = engine_of(gated=True)
    async with served(engine) as face, listening(face) as client:
        engine.allow()
        stream = await client.chat.completions.create(model="m", messages=USER, stream=True)
        await anext(stream)
        engine.step_error = RuntimeError("lost the device")
        engine.allow()
        with pytest.raises(openai.APIError, match="engine failed"):
            async for _ in stream:
                pass


async def test_closing_the_sdk_stream_frees_the_slot(engine_of, served, happened):
    engine = engine_of(["w"] * 1000, gated=True)
    async with served(engine) as face, listening(face) as client:
        engine.allow()
        stream = await client.chat.completions.create(model="m", messages=USER, stream=True)
        await anext(stream)
        await stream.close()
        async with asyncio.timeout(10):
            while not engine.removed.is_set():  # step by step until the server has seen the connection close
                engine.allow()
                await asyncio.sleep(0.01)
    assert ("remove", engine.requests[0].request_id) in engine.log
