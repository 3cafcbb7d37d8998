"""OpenAI's SDK gets the same from a worker of this engine and from one of llama.cpp, which brings its own server."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
from typing import Literal

import msgspec
import openai
import pytest
from pydantic import BaseModel, ConfigDict, Field
from rbee.contract import ModelVariant
from rbee.contract.worker_args import LoadReport, WorkerArgs
from rbee_mlx.availability import availability

TOKEN = "sesame-for-two-workers"
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"language": {"enum": ["Python", "C"]}, "old": {"type": "boolean"}},
    "required": ["language", "old"],
    "additionalProperties": False,
}


class Point(BaseModel):
    """A place on the board."""

    model_config = ConfigDict(extra="forbid")
    x: int = Field(ge=0, le=9)
    y: int = Field(ge=0, le=9)


class Move(BaseModel):
    """Moves a piece."""

    model_config = ConfigDict(extra="forbid")
    piece: Literal["king", "rook"]
    to: Point
    then: Point | None


@contextlib.contextmanager
def worker(engine, path, form, home):
    """A real worker process that serves the small model; a client of it."""
    variant = ModelVariant(model_id=f"shelf:{engine}", name="tiny", vendor="shelf", format=form)
    reading, writing = os.pipe()
    sock = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    said = home / "log"
    args = WorkerArgs(
        worker_id=engine, model=variant.model_id, engine=engine, model_path=str(path), report_fd=writing,
        socket_fd=sock.fileno(), slots=2,
        variant=msgspec.json.encode(variant).decode(), context_length=1024, parent_pid=os.getpid(),
    )  # fmt: skip
    environment = {**os.environ, "RBEE_HOME": str(home), "RBEE_TOKEN": TOKEN, "OMP_WAIT_POLICY": "passive"}
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rbee.worker", *args.to_argv()],
            env=environment,
            pass_fds=(writing, sock.fileno()),
            stderr=log,
        )
    os.close(writing)
    sock.close()
    try:
        with os.fdopen(reading, "rb") as pipe:
            ready = any(msgspec.json.decode(line, type=LoadReport).ready for line in pipe)
        assert ready, said.read_text()
        with openai.OpenAI(base_url=f"{url}/v1", api_key=TOKEN, max_retries=0) as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def clients(models, tmp_path_factory):
    if not (found := availability()).available:
        pytest.skip(found.reason)
    if importlib.util.find_spec("xllamacpp") is None or importlib.util.find_spec("rbee_llamacpp") is None:
        pytest.skip("there is no llama.cpp to compare with")
    with (
        worker("mlx", models / "hf", "safetensors", tmp_path_factory.mktemp("mlx")) as ours,
        worker("llamacpp", models / "rbee-tiny-f16.gguf", "gguf", tmp_path_factory.mktemp("llama")) as theirs,
    ):
        yield ours, theirs


def ask(client, text, **fields):
    return client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": text}], temperature=0, **fields
    )


def test_a_whole_answer(clients):
    ours, theirs = (ask(client, "What is Python?") for client in clients)
    for said in (ours, theirs):
        assert (said.object, said.choices[0].index, said.choices[0].message.role) == ("chat.completion", 0, "assistant")
    assert ours.choices[0].message.content == theirs.choices[0].message.content
    assert ours.choices[0].finish_reason == theirs.choices[0].finish_reason == "stop"
    assert ours.usage.prompt_tokens == theirs.usage.prompt_tokens
    assert ours.usage.completion_tokens == theirs.usage.completion_tokens


def test_a_stream_with_usage(clients):
    found = []
    for client in clients:
        stream = ask(client, "What is Python?", stream=True, stream_options={"include_usage": True}, max_tokens=6)
        chunks = list(stream)
        assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [chunk.choices for chunk in chunks if chunk.usage] == [[]]
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
        found.append((text, ends, chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens))
    assert found[0] == found[1]
    assert found[0][1] == ["length"]


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_tools_whole_and_streamed(clients, choice):
    found = []
    for client in clients:
        fields = {"tools": [TOOL], "tool_choice": choice, "max_tokens": 60}
        said = ask(client, "What is the weather in Paris?", **fields).choices[0]
        (call,) = said.message.tool_calls
        assert (call.type, bool(call.id), said.finish_reason) == ("function", True, "tool_calls")
        deltas = [
            delta
            for chunk in ask(client, "What is the weather in Paris?", stream=True, **fields)
            for one in chunk.choices
            for delta in one.delta.tool_calls or ()
        ]
        assert [bool(delta.id) for delta in deltas][:2] == [True, False][: len(deltas)]
        assert {delta.index for delta in deltas} == {0}
        streamed = "".join(delta.function.arguments or "" for delta in deltas)
        assert json.loads(streamed) == json.loads(call.function.arguments)
        found.append((call.function.name, json.loads(call.function.arguments)))
    assert found[0] == found[1] == ("get_weather", {"city": "Paris"})


def test_a_schema_is_kept(clients):
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
    for client in clients:
        said = ask(client, "What is Python?", response_format=wanted, max_tokens=60).choices[0]
        assert set(json.loads(said.message.content)) == {"language", "old"}
        assert said.finish_reason == "stop"


def test_log_probabilities(clients):
    found = []
    for client in clients:
        said = ask(client, "What is Python?", logprobs=True, top_logprobs=2, max_tokens=4).choices[0]
        for one in said.logprobs.content:
            assert bytes(one.bytes).decode() == one.token
            assert one.logprob == pytest.approx(one.top_logprobs[0].logprob, abs=1e-3)
            assert len(one.top_logprobs) == 2
        found.append([(one.token, one.logprob) for one in said.logprobs.content])
    assert [token for token, _ in found[0]] == [token for token, _ in found[1]]
    assert [one for _, one in found[0]] == pytest.approx([one for _, one in found[1]], abs=0.02)


def test_what_neither_can_do_is_refused_with_its_name(clients):
    for client in clients:
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, "x", extra_body={"audio": {"voice": "x"}})
        assert caught.value.param == "audio"


def test_a_forced_call_of_a_tool_that_pydantic_made_is_one_of_its_models(clients):
    for client in clients:
        tool = openai.pydantic_function_tool(Move)
        said = ask(client, "Move the king.", tools=[tool], tool_choice="required", max_tokens=120)
        (call,) = said.choices[0].message.tool_calls
        assert call.function.name == "Move"
        Move.model_validate_json(call.function.arguments)
