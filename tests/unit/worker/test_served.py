"""A served engine is asked by its own name for the model, where it has one, and otherwise in the client's own bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from rbee.contract import Availability, Backend, Endpoint, EngineStatus, LoadSpec, ModelVariant, ServedEngine
from rbee.contract.errors import (
    ContextLengthError,
    InvalidRequestError,
    RateLimitedError,
    RbeeError,
    WorkerFailedError,
)
from rbee.contract.wire import InferRequest
from rbee.worker.served import ServedFace

SPEC = LoadSpec(
    model_id="m", model_path=None, variant=ModelVariant(model_id="m", name="m", vendor="v", format="f"), slots=1
)


class Given(ServedEngine):
    name = "given"
    formats = frozenset({"f"})
    backends = frozenset({Backend.CPU})
    capabilities = frozenset()

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    @classmethod
    def availability(cls) -> Availability:
        return Availability(available=True)

    def start(self, spec: Any, report: Any) -> Endpoint:
        return self.endpoint

    def stop(self) -> None: ...

    def status(self) -> EngineStatus:
        return EngineStatus()


class Server:
    """Takes requests and answers each with an event stream or an object, as it is asked."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.url = ""
        self.refusal: tuple[int, str] | None = None
        self.headers = ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
        self.bodies.append(await reader.readexactly(length))
        if self.refusal is not None:
            status, body = self.refusal
            writer.write(f"HTTP/1.1 {status} No\r\n{self.headers}content-length: {len(body)}\r\n\r\n{body}".encode())
            await writer.drain()
            writer.close()
            return
        event = {"choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}]}
        stream = json.loads(self.bodies[-1]).get("stream")
        body = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n" if stream else '{"choices": []}'
        kind = "text/event-stream" if stream else "application/json"
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with await asyncio.start_server(made.take, "127.0.0.1", 0) as listening:
        made.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield made


async def ask(endpoint: Endpoint, body: bytes, engine: type[Given] = Given) -> list[dict[str, Any]]:
    face = ServedFace(engine(endpoint), SPEC, "w", 10_000)
    await face.start(lambda _: None)
    sent: list[dict[str, Any]] = []
    asked = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if asked:
            return asked.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/v1/chat/completions", "headers": [(b"content-type", b"application/json")]}
    try:
        async with asyncio.timeout(10):
            await face.openai(scope, receive, send)
    finally:
        await face.stop()
    assert sent[0]["status"] == 200
    return sent


BODY = b'{ "model":"theirs",  "messages": [], "stream": %s }'


@pytest.mark.parametrize("stream", [b"true", b"false"])
@pytest.mark.parametrize("cancels", [True, False])
async def test_its_own_name_for_the_model_takes_the_place_of_the_clients(
    server: Server, stream: bytes, *, cancels: bool
) -> None:
    await ask(Endpoint(url=server.url, model="its-own", whole_answers_cancel=cancels), BODY % stream)
    (body,) = server.bodies
    found = json.loads(body)
    assert (found["model"], found["messages"]) == ("its-own", [])
    assert found["stream"] is (stream == b"true" or not cancels)


async def test_without_one_the_clients_bytes_are_passed_on_untouched(server: Server) -> None:
    await ask(Endpoint(url=server.url), BODY % b"false")
    assert server.bodies == [BODY % b"false"]


@pytest.mark.parametrize(("own", "told"), [("its-own", "its-own"), (None, "m")])
async def test_an_infer_request_names_it_too(server: Server, own: str | None, told: str) -> None:
    face = ServedFace(Given(Endpoint(url=server.url, model=own)), SPEC, "w", 10_000)
    await face.start(lambda _: None)
    deltas = [delta async for delta in face.infer(InferRequest(prompt="x"), "r")]
    await face.stop()
    assert deltas[0].text == "yes"
    assert json.loads(server.bodies[0])["model"] == told


class Particular(Given):
    ignored_parameters = frozenset({"suffix", "n", "own"})


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"suffix": "x"}, "suffix"),
        ({"n": 2}, "n"),
        ({"own": False}, "own"),
        ({"suffix": "", "n": 1, "own": None, "else": 5}, None),
    ],
)
async def test_what_the_server_would_drop_is_refused_where_it_asks_for_something(
    server: Server, more: dict[str, Any], param: str | None
) -> None:
    body = json.dumps({"model": "m", **more}).encode()
    refused = None
    try:
        await ask(Endpoint(url=server.url), body, Particular)
    except InvalidRequestError as error:
        refused = error.param
    assert refused == param
    assert server.bodies == ([body] if param is None else [])


async def test_a_strangers_refusal_of_an_infer_request_is_told_in_rbees_own_words(server: Server) -> None:
    server.refusal, server.headers = (429, '{"error": {"message": "slow down", "code": "x"}}'), "retry-after: 7\r\n"
    face = ServedFace(Given(Endpoint(url=server.url)), SPEC, "w", 10_000)
    await face.start(lambda _: None)
    with pytest.raises(RateLimitedError, match="429: slow down") as caught:
        _ = [delta async for delta in face.infer(InferRequest(prompt="x"), "r")]
    await face.stop()
    assert caught.value.retry_after_s == 7
    assert server.url.removeprefix("http://") in caught.value.message


async def test_without_a_loaded_engine_nothing_is_asked_of_it(server: Server) -> None:
    face = ServedFace(Given(Endpoint(url=server.url)), SPEC, "w", 10_000)
    for ended in (False, True):
        if ended:
            await face.start(lambda _: None)
            await face.stop()
        with pytest.raises(WorkerFailedError, match="not loaded"):
            _ = [delta async for delta in face.infer(InferRequest(prompt="x"), "r")]
    assert server.bodies == []


async def test_the_engines_own_word_for_a_refusal_counts_first(server: Server) -> None:
    class Knowing(Given):
        def refusal(self, path: str, status: int, body: bytes) -> RbeeError | None:
            return ContextLengthError(f"{path} {status} {body.decode()}")

    server.refusal = (400, "x")
    face = ServedFace(Knowing(Endpoint(url=server.url)), SPEC, "w", 10_000)
    await face.start(lambda _: None)
    with pytest.raises(ContextLengthError, match="/v1/chat/completions 400 x"):
        _ = [delta async for delta in face.infer(InferRequest(prompt="x"), "r")]
    await face.stop()
