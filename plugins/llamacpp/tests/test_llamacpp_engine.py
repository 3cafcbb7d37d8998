"""The engine with a real model: answers, figures, refusals and what is left when it stops."""

import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psutil
import pytest
from rbee.contract import Backend
from rbee.contract.errors import EngineUnavailableError, InsufficientMemoryError, ModelFileError
from rbee.testing.conformance import ServedEngineContract
from rbee_llamacpp import LlamaCppEngine, plugin


class TestLlamaCppEngine(ServedEngineContract):
    @pytest.fixture
    def engine_class(self):
        return LlamaCppEngine

    @pytest.fixture
    def load_spec(self, make_spec):
        return make_spec()


def test_it_says_how_well_it_suits_each_of_its_backends():
    assert set(LlamaCppEngine.preference) == LlamaCppEngine.backends
    assert LlamaCppEngine.info().preference == {"cpu": 20, "metal": 10}


def quiet(_stage):
    """Nobody watches the loading."""


def connect(endpoint):
    return http.client.HTTPConnection(urlsplit(endpoint.url).netloc, timeout=60)


def post(endpoint, path, body, headers=None):
    with closing(connect(endpoint)) as connection:
        connection.request("POST", path, json.dumps(body), dict(endpoint.headers if headers is None else headers))
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def chat(endpoint, question, **more):
    body = {"messages": [{"role": "user", "content": question}], "temperature": 0, **more}
    return post(endpoint, "/v1/chat/completions", body)


def stream(endpoint, **more):
    """Begin an answer that would go on for long; the connection stays open."""
    connection = connect(endpoint)
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": True, "ignore_eos": True, **more}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), dict(endpoint.headers))
    response = connection.getresponse()
    assert response.status == 200
    assert response.readline().startswith(b"data: ")
    return connection, response


def wait_until(condition, seconds=10.0):
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"not so after {seconds} s"
        time.sleep(0.005)
    return time.monotonic() - started


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who are you?", "I am a tiny language model, made to test the software that runs me."),
        (
            "What is Python?",
            "Python is an interpreted, interactive, object-oriented programming language.",
        ),
    ],
)
def test_it_answers_what_the_model_has_learnt_under_the_models_name(engine, load_spec, question, answer):
    status, body = chat(engine.start(load_spec, quiet), question)
    assert status == 200
    assert body["choices"][0]["message"]["content"] == answer
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["model"] == "demo:rbee-tiny:Q8_0"


def test_it_offers_the_capabilities_it_claims(engine, load_spec):
    endpoint = engine.start(load_spec, quiet)
    status, body = post(endpoint, "/v1/completions", {"prompt": "Python is", "max_tokens": 4})
    assert (status, body["usage"]["completion_tokens"]) == (200, 4)
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}, "required": ["n"]}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    _, body = chat(endpoint, "A number?", response_format=form, max_tokens=60)
    assert isinstance(json.loads(body["choices"][0]["message"]["content"])["n"], int)
    _, body = chat(endpoint, "Who are you?", logprobs=True, top_logprobs=2, max_tokens=2)
    assert len(body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 2
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {
        "type": "function",
        "function": {"name": "get_weather", "description": "Weather", "parameters": city},
    }
    _, body = chat(endpoint, "What is the weather in Paris?", tools=[tool], tool_choice="required")
    assert body["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "get_weather"


def test_a_request_without_the_key_or_with_another_is_refused(engine, load_spec):
    endpoint = engine.start(load_spec, quiet)
    body = {"messages": [{"role": "user", "content": "hi"}]}
    for headers in ({}, {"Authorization": "Bearer guess"}):
        assert post(endpoint, "/v1/chat/completions", body, headers)[0] == 401
    (_, value), *_ = endpoint.headers
    assert len(value) > 40


def test_every_slot_has_the_context_that_was_asked_for(engine, make_spec):
    assert engine.start(make_spec(context_length=1024, slots=3), quiet).context_length == 1024


def test_the_context_is_never_larger_than_the_models_own(engine, make_spec):
    assert engine.start(make_spec(), quiet).context_length == 2048


def test_a_prompt_beyond_the_context_is_an_error_of_the_caller(engine, load_spec):
    status, body = chat(engine.start(load_spec, quiet), "Who are you? " * 2000)
    assert status == 400
    assert body["error"]["type"] == "exceed_context_size_error"


def test_a_closed_connection_frees_its_slot_within_half_a_second(engine, load_spec):
    endpoint = engine.start(load_spec, quiet)
    connection, response = stream(endpoint)
    wait_until(lambda: engine.status().slots_busy == 1)
    response.close()
    connection.close()
    assert wait_until(lambda: engine.status().slots_busy == 0) < 0.5


def test_status_counts_slots_the_queue_and_tokens_while_they_come(engine, load_spec):
    endpoint = engine.start(load_spec, quiet)
    before = engine.status()
    assert (before.slots_total, before.slots_busy, before.queue_depth, before.tokens_generated) == (
        2,
        0,
        0,
        0,
    )
    streams = [stream(endpoint) for _ in range(2)]
    third = connect(endpoint)
    third.request("POST", "/v1/completions", '{"prompt": "a", "max_tokens": 1}', dict(endpoint.headers))
    wait_until(lambda: engine.status().queue_depth == 1)
    during = engine.status()
    assert (during.slots_total, during.slots_busy) == (2, 2)
    assert during.tokens_generated > 0
    for connection, response in streams:
        response.close()
        connection.close()
    assert third.getresponse().status == 200
    third.close()
    wait_until(lambda: engine.status().slots_busy == 0)
    assert engine.status().tokens_generated >= during.tokens_generated


def test_status_before_start_and_after_stop_knows_nothing(engine, load_spec):
    assert engine.status().slots_total is None
    engine.start(load_spec, quiet)
    engine.stop()
    assert engine.status().slots_total is None


def test_stop_ends_threads_frees_the_port_and_cuts_open_answers(engine, load_spec):
    process = psutil.Process()
    engine.start(load_spec, quiet)
    engine.stop()
    threads = process.num_threads()
    endpoint = engine.start(load_spec, quiet)
    connection, response = stream(endpoint)
    assert process.num_threads() > threads
    engine.stop()
    with pytest.raises(ConnectionRefusedError):
        chat(endpoint, "Who are you?")
    with pytest.raises(http.client.HTTPException):
        response.read()
    connection.close()
    wait_until(lambda: process.num_threads() <= threads)


def test_a_load_uses_only_the_threads_it_was_given(make_spec):
    """Idle threads of OpenMP stay for the life of a process, so each budget gets a process of its own."""
    spare = {threads: _threads_of_a_worker(make_spec(threads=threads, slots=1)) for threads in (1, 2)}
    assert spare[2] - spare[1] == 1


def _threads_of_a_worker(spec):
    code = f"""
import os, psutil
from rbee.contract import LoadSpec, ModelVariant
from rbee_llamacpp import LlamaCppEngine
os.environ.pop("OMP_WAIT_POLICY", None)
variant = ModelVariant(model_id="m", name="m", vendor="v", format="gguf")
engine = LlamaCppEngine()
path = {spec.model_path!r}
spec = LoadSpec(model_id="m", model_path=path, variant=variant, threads={spec.threads})
engine.start(spec, lambda stage: None)
print(psutil.Process().num_threads(), os.environ["OMP_WAIT_POLICY"])
engine.stop()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    threads, policy = done.stdout.split()
    assert policy == "passive"
    return int(threads)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not tell what is mapped")
@pytest.mark.parametrize(
    ("quantization", "mapped"), [("Q8_0", True), (None, True), ("Q4_0", False), ("Q4_K_M", False), ("IQ4_NL", False)]
)
def test_weights_that_are_rearranged_are_not_kept_mapped_beside_their_copy(engine, make_spec, quantization, mapped):
    spec = make_spec()
    spec = msgspec.structs.replace(spec, variant=msgspec.structs.replace(spec.variant, quantization=quantization))
    engine.start(spec, quiet)
    assert (spec.model_path in Path("/proc/self/maps").read_text(encoding="utf-8")) is mapped


def test_loading_reports_its_stages(engine, load_spec):
    stages = []
    engine.start(load_spec, stages.append)
    assert stages == ["importing llama.cpp", f"loading {load_spec.model_path}"]


def test_a_truncated_file_is_refused_by_name_and_reason(engine, make_spec, model, tmp_path, capfd):
    short = tmp_path / "short.gguf"
    short.write_bytes(model.read_bytes()[:2_400_000])
    with pytest.raises(ModelFileError, match=r"short\.gguf' cannot be loaded: tensor .* corrupted or incomplete"):
        engine.start(make_spec(model_path=str(short)), quiet)
    assert "corrupted or incomplete" in capfd.readouterr().err, "what was caught is passed on"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>404</html>" * 100, "does not begin with the letters GGUF"),
        (b"", "does not begin with the letters GGUF"),
        (b"GGUF\x03\0\0\0", "ends after 8 bytes"),
        (b"GGUF" + b"\xfe" * 1000, "this GGUF file is version"),
    ],
)
def test_what_is_no_model_is_refused_with_a_reason(engine, make_spec, tmp_path, content, reason):
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(ModelFileError, match=reason) as caught:
        engine.start(make_spec(model_path=str(tmp_path / "m.gguf")), quiet)
    assert "m.gguf" in caught.value.message


def test_an_unknown_architecture_is_refused_by_its_name(engine, make_spec, model, tmp_path):
    data = model.read_bytes()
    (tmp_path / "m.gguf").write_bytes(data.replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0lxama", 1))
    with pytest.raises(ModelFileError, match="unknown model architecture: 'lxama'"):
        engine.start(make_spec(model_path=str(tmp_path / "m.gguf")), quiet)


def test_a_missing_file_is_refused_by_name(engine, make_spec, tmp_path):
    for path in (str(tmp_path / "none.gguf"), str(tmp_path)):
        with pytest.raises(ModelFileError, match="there is no such file"):
            engine.start(make_spec(model_path=path), quiet)
    with pytest.raises(ModelFileError, match="came without a file"):
        engine.start(make_spec(model_path=None), quiet)


def test_a_refused_file_leaves_the_engine_usable(engine, make_spec, load_spec, tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + b"\xfe" * 1000)
    with pytest.raises(ModelFileError):
        engine.start(make_spec(model_path=str(tmp_path / "m.gguf")), quiet)
    assert chat(engine.start(load_spec, quiet), "Who are you?")[0] == 200


def test_a_file_larger_than_its_memory_is_refused_before_loading(engine, make_spec):
    with pytest.raises(InsufficientMemoryError, match="has 4 MiB and may use 1 MiB"):
        engine.start(make_spec(memory_bytes=1 << 20), quiet)


@pytest.mark.parametrize("backend", [Backend.CUDA, Backend.ROCM, Backend.VULKAN])
def test_a_device_it_cannot_drive_is_refused(engine, make_spec, backend):
    with pytest.raises(EngineUnavailableError, match=f"by {backend}"):
        engine.start(make_spec(backend=backend), quiet)


def test_the_plugin_registers_the_engine():
    class Seen:
        classes = ()

        def engine(self, cls, *, replace=False):
            self.classes = (*self.classes, cls)

    seen = Seen()
    plugin.rbee_register(seen)
    assert seen.classes == (LlamaCppEngine,)
