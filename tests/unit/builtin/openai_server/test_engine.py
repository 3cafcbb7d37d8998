"""A worker's engine that stands for a server."""

from __future__ import annotations

import asyncio
import os

import msgspec
import pytest
from rbee.builtin.openai_server import Connection, Connections, OpenAIServerEngine, OpenAIServerVendor, ServedModel
from rbee.contract import LoadSpec
from rbee.contract.errors import EngineUnavailableError, ModelNotFoundError, RateLimitedError, WorkerFailedError
from rbee.contract.wire import InferRequest
from rbee.testing.colony import eventually
from rbee.testing.conformance import EngineContract
from rbee.worker.served import ServedFace
from unit.builtin.openai_server.upstream import Upstream

CHAT = "/v1/chat/completions"


@pytest.fixture
def upstream():
    with Upstream({"id": "m", "max_model_len": 512}, key="sesame", base="/api/v1") as running:
        yield running


def spec_of(upstream, key="sesame", slots=2):
    connection = Connection(name="box", url=upstream.url, key=key, models=(ServedModel(id="m"),), slots=slots)
    Connections.of(os.environ).add(connection, replace=True)
    (variant,) = OpenAIServerVendor().resolve("openai:box")
    return LoadSpec(model_id=variant.model_id, model_path=None, variant=variant, slots=4)


class TestOpenAIServerEngine(EngineContract):
    @pytest.fixture
    def engine_class(self):
        return OpenAIServerEngine

    @pytest.fixture
    def load_spec(self, upstream):
        return spec_of(upstream)


def test_it_points_the_host_at_the_server(upstream):
    engine, stages = OpenAIServerEngine(), []
    endpoint = engine.start(spec_of(upstream), stages.append)
    assert f"{endpoint.url}{endpoint.prefix}" == upstream.url
    assert (endpoint.model, endpoint.context_length) == ("m", 512)
    assert endpoint.headers == (("Authorization", "Bearer sesame"),)
    assert stages
    assert "sesame" not in "".join(stages)
    assert engine.status().slots_total == 2
    assert engine.status().slots_busy is None
    engine.stop()


def test_a_server_without_the_model_any_more_is_told(upstream):
    spec = spec_of(upstream)
    upstream.listing = b'{"data": [{"id": "other"}]}'
    with pytest.raises(ModelNotFoundError, match=r"has no model 'm' any more\. It has: other\. .*--replace"):
        OpenAIServerEngine().start(spec, lambda stage: None)


def test_a_server_that_lists_nothing_is_taken_at_its_word(upstream):
    spec = spec_of(upstream)
    upstream.listing = b'{"data": []}'
    engine = OpenAIServerEngine()
    assert engine.start(spec, lambda stage: None).model == "m"
    engine.stop()


def test_a_server_has_as_many_slots_as_it_was_added_with_or_else_as_any_worker(upstream):
    for slots, given in ((32, 32), (1, 1), (None, 4)):
        engine = OpenAIServerEngine()
        engine.start(spec_of(upstream, slots=slots), lambda stage: None)
        assert engine.status().slots_total == given
        engine.stop()


def test_a_server_that_was_forgotten_or_is_gone_is_told(upstream):
    spec = spec_of(upstream)
    upstream.close()
    with pytest.raises(EngineUnavailableError, match="does not answer"):
        OpenAIServerEngine().start(spec, lambda stage: None)
    Connections.of(os.environ).remove("box")
    with pytest.raises(EngineUnavailableError, match="no server 'box'"):
        OpenAIServerEngine().start(spec, lambda stage: None)


def test_a_server_that_is_gone_ends_the_worker_soon_after_a_request_has_failed(upstream):
    engine = OpenAIServerEngine()
    engine.start(spec_of(upstream), lambda stage: None)
    upstream.close()
    assert engine.alive()
    assert engine.refusal(CHAT, 502, b"{}") is None
    eventually(lambda: not engine.alive())
    engine.stop()


def test_a_refused_key_is_the_worker_s_trouble_and_other_refusals_are_the_server_s_word(upstream):
    engine = OpenAIServerEngine()
    engine.start(spec_of(upstream), lambda stage: None)
    told = engine.refusal(CHAT, 401, b"{}")
    assert isinstance(told, WorkerFailedError)
    assert "sesame" not in told.message
    for status in (400, 403, 404, 429, 503):
        assert engine.refusal(CHAT, status, b"{}") is None
    engine.stop()
    assert engine.refusal(CHAT, 401, b"{}") is None


def test_a_renewed_key_ends_the_worker_so_that_the_next_one_takes_it(upstream):
    engine = OpenAIServerEngine()
    engine.start(spec_of(upstream), lambda stage: None)
    spec_of(upstream, key="renewed")
    engine.refusal(CHAT, 401, b"{}")
    eventually(lambda: not engine.alive())
    engine.stop()


async def test_requests_reach_the_server_under_its_own_names_and_without_the_client_s_secrets(
    upstream, certificate, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Upstream({"id": "m"}, key="sesame", base="/api/v1", certificate=certificate) as secure:
        for server in (upstream, secure):
            face = ServedFace(OpenAIServerEngine(), spec_of(server), "w", 1 << 20)
            await face.start(lambda stage: None)
            try:
                said = await ask(face, {"model": "openai:box/m", "messages": []}, [(b"authorization", b"Bearer mine")])
            finally:
                await face.stop()
            assert said["model"] == "m"
            path, headers = server.seen[-1]
            assert path == "/api/v1/chat/completions"
            assert headers["authorization"] == "Bearer sesame"


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, WorkerFailedError, "server 'box' .* rbee server add box "),
        (403, WorkerFailedError, "403.*rbee server add"),
        (429, RateLimitedError, "429.*Try again in"),
        (502, WorkerFailedError, "The server at 127.0.0.1:.* 502"),
    ],
)
async def test_a_refusal_of_an_infer_request_names_the_server_and_the_next_step(upstream, status, error, words):
    face = ServedFace(OpenAIServerEngine(), spec_of(upstream), "w", 1 << 20)
    await face.start(lambda stage: None)
    upstream.status = status
    try:
        with pytest.raises(error, match=words) as caught:
            _ = [delta async for delta in face.infer(InferRequest(prompt="x"), "r")]
    finally:
        await face.stop()
    assert type(caught.value) is error
    assert "sesame" not in caught.value.message


async def ask(face, body, headers):
    """The JSON of an answer over bare ASGI."""
    parts = [{"type": "http.request", "body": msgspec.json.encode(body), "more_body": False}]
    sent = []

    async def receive():
        if not parts:
            await asyncio.Event().wait()  # the client stays
        return parts.pop()

    async def send(message):
        sent.append(message)

    await face.openai({"type": "http", "method": "POST", "path": CHAT, "headers": headers}, receive, send)
    return msgspec.json.decode(b"".join(message.get("body", b"") for message in sent))
