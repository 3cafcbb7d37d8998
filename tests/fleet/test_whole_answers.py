"""An answer that the worker host puts together equals the one that the engine's own server gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import rbee_demo
from rbee.contract import LoadSpec
from rbee.worker.assemble import as_stream, assemble
from rbee_demo.vendor import DemoVendor
from rbee_llamacpp.engine import LlamaCppEngine

CHAT, PLAIN = "/v1/chat/completions", "/v1/completions"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 80, **more}


@pytest.fixture(scope="module")
def engine():
    (variant,) = DemoVendor().resolve("demo")
    path = Path(rbee_demo.__file__).parent / "data" / variant.files[0].name
    made = LlamaCppEngine()
    endpoint = made.start(
        LoadSpec(model_id=variant.model_id, model_path=str(path), variant=variant, slots=1), lambda stage: None
    )
    # A connection each: the server may close one that rests, in the moment in which it is used again.
    headers = {**dict(endpoint.headers), "connection": "close"}
    with httpx2.Client(base_url=endpoint.url, headers=headers, timeout=60, trust_env=False) as client:
        yield client
    made.stop()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, ask("What is Python?")),
        (CHAT, ask("Who are you?", max_tokens=3)),
        (CHAT, ask("What is the weather in Rome?", tools=[WEATHER])),
        (CHAT, ask("What is the weather in Rome?", tools=[WEATHER], tool_choice="required")),
        (PLAIN, {"prompt": "Return the list of", "temperature": 0, "max_tokens": 30}),
        (PLAIN, {"prompt": "Return the list of", "temperature": 0, "max_tokens": 30, "stop": ["list"]}),
    ],
    ids=["chat", "chat cut short", "tool offered", "tool required", "completion", "completion with a stop"],
)
def test_both_are_equal(engine, path, body):
    body = {"model": "demo", **body}
    whole = engine.post(path, json=body).raise_for_status().json()
    stream = engine.post(path, json={**as_stream(path, body), "return_progress": True}).raise_for_status().content
    built = asyncio.run(assemble(path, once(stream)))
    for answer in (whole, built):
        # What differs between any two answers.
        for name in ("id", "created", "timings"):
            answer.pop(name, None)
        for choice in answer["choices"]:
            if "message" in choice:
                # Beside tool calls, OpenAI says null where this engine's server says "".
                choice["message"]["content"] = choice["message"]["content"] or None
            for call in choice.get("message", {}).get("tool_calls", ()):
                call.pop("id")
        answer["usage"].pop("prompt_tokens_details", None)
    assert built == whole


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data
