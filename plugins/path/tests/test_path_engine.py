"""A server on the PATH as an engine: a real model, and servers that fail in every way."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from rbee.contract import Backend, ModelVariant
from rbee.contract.errors import (
    EngineUnavailableError,
    InsufficientMemoryError,
    InvalidRequestError,
    ModelFileError,
    ModelNotFoundError,
    WorkerFailedError,
)
from rbee.testing.conformance import ServedEngineContract
from rbee_path import engine_of
from rbee_path.reading import shipped_records
from rbee_path.record import Answers, EngineRecord, Failures, Join, Ready

SERVER = """
import http.server, json, os, sys, time
port = int(sys.argv[sys.argv.index("--port") + 1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = {"/v1/models": {"data": [{"id": "tiny:latest"}]}}.get(self.path, {})
        self.answer(json.dumps(told).encode())
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.answer(body)
    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def quiet(_stage: str) -> None:
    """Nobody watches the loading."""


def made(**facts) -> EngineRecord:
    return EngineRecord(
        **{
            "name": "mill",
            "summary": "A mill.",
            "program": "mill",
            "formats": ("gguf",),
            "backends": (Backend.CPU,),
            "capabilities": (),
            "install": "build a mill",
            "arguments": (("--port", "{port}"),),
            "ready": Ready(timeout_s=20),
            **facts,
        }
    )


@pytest.fixture
def engine(llama_class):
    engine = llama_class()
    yield engine
    engine.stop()


@pytest.fixture
def mill():
    """Makes engines of records and stops them in the end."""
    engines = []

    def make(**facts):
        engines.append(engine_of(made(**facts))())
        return engines[-1]

    yield make
    for one in engines:
        one.stop()


def pid_of(engine) -> int:
    return engine._child.pid


def until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.01)


def chat(endpoint, **more):
    connection = http.client.HTTPConnection(urlsplit(endpoint.url).netloc, timeout=60)
    body = {"messages": [{"role": "user", "content": "Who are you?"}], "temperature": 0, **more}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), dict(endpoint.headers))
    return connection


class TestPathEngine(ServedEngineContract):
    @pytest.fixture
    def engine_class(self, llama_class):
        return llama_class

    @pytest.fixture
    def load_spec(self, make_spec):
        return make_spec()


def test_it_answers_what_the_model_has_learnt_and_tells_its_figures(engine, load_spec):
    endpoint = engine.start(load_spec, quiet)
    assert endpoint.context_length == 512
    with closing(chat(endpoint)) as connection:
        answer = json.loads(connection.getresponse().read())
    assert answer["choices"][0]["message"]["content"] == (
        "I am a tiny language model, made to test the software that runs me."
    )
    status = engine.status()
    assert (status.slots_total, status.slots_busy, status.queue_depth) == (2, 0, 0)
    assert status.tokens_generated > 10
    with closing(chat(endpoint, stream=True, ignore_eos=True)) as connection:
        connection.getresponse().readline()
        until(lambda: engine.status().slots_busy == 1)


def test_availability_has_the_version_and_where_it_is_missing_how_to_get_it(llama_class, llama_server):
    found = llama_class.availability()
    assert (found.available, found.version) == (True, "6823")
    llama_server.unlink()
    found = llama_class.availability()
    assert not found.available
    assert found.reason.startswith("'llama-server' is not on the PATH; put llama.cpp's")


def test_the_key_is_in_the_environment_and_not_among_the_arguments(engine, load_spec):
    endpoint = engine.start(load_spec, quiet)
    ((_, value),) = endpoint.headers
    key = value.removeprefix("Bearer ")
    proc = Path(f"/proc/{pid_of(engine)}")
    assert key in (proc / "environ").read_text()
    assert key not in (proc / "cmdline").read_text()
    arguments = (proc / "cmdline").read_bytes().split(b"\0")
    assert b"--n-gpu-layers" in arguments
    assert arguments[arguments.index(b"--ctx-size") + 1] == b"1024"


def test_what_nobody_has_asked_for_is_left_to_the_server(engine, make_spec):
    endpoint = engine.start(make_spec(context_length=None), quiet)
    assert b"--ctx-size" not in Path(f"/proc/{pid_of(engine)}/cmdline").read_bytes()
    assert endpoint.context_length is None


def test_it_stays_in_the_session_of_the_worker_and_stop_ends_its_group(put, mill, load_spec, group_of):
    child = "import subprocess; subprocess.Popen(['/bin/sleep', '600'])\n"
    put("mill", child + SERVER)
    engine = mill()
    engine.start(load_spec, quiet)
    pid = pid_of(engine)
    assert os.getsid(pid) == os.getsid(0)
    assert len(group_of(pid)) == 2
    assert engine.alive()
    engine.stop()
    assert not engine.alive()
    until(lambda: not group_of(pid))


def test_one_that_ignores_the_request_to_end_is_ended(put, mill, load_spec, group_of, monkeypatch):
    monkeypatch.setattr("rbee_path.child._END_S", 0.2)
    put("mill", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVER)
    engine = mill()
    engine.start(load_spec, quiet)
    pid = pid_of(engine)
    engine.stop()
    assert not group_of(pid)


def test_one_that_ends_at_once_is_told_with_its_last_words(put, mill, load_spec, capfd):
    put("mill", "import sys; print('grinding'); sys.exit('the stone is broken')")
    with pytest.raises(EngineUnavailableError, match=r"mill' ended with code 1 .* grinding \| the stone is broken"):
        mill().start(load_spec, quiet)
    assert "the stone is broken" in capfd.readouterr().err, "the worker's log has all of it"


@pytest.mark.parametrize(
    ("words", "error"),
    [("Bad Grain in file", ModelFileError), ("Out Of Memory", InsufficientMemoryError), ("?", EngineUnavailableError)],
)
def test_last_words_say_what_kind_of_failure_it_is(put, mill, load_spec, words, error):
    put("mill", f"import sys; sys.exit({words!r})")
    failures = msgspec.convert({"model": ["bad grain"], "memory": ["out of memory"]}, type(made().failures))
    with pytest.raises(error, match=words.replace("?", r"\?")):
        mill(failures=failures).start(load_spec, quiet)


def test_one_that_is_never_ready_is_ended_after_its_time(put, mill, load_spec, tmp_path):
    noted = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
    put("mill", f"{noted}print('still warming up', flush=True); time.sleep(600)")
    engine = mill(ready=Ready(timeout_s=1.5))
    with pytest.raises(EngineUnavailableError, match=r"not ready within 1\.5 s\. It said: still warming up"):
        engine.start(load_spec, quiet)
    assert not engine.alive()
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


@pytest.mark.parametrize(("status", "error"), [(500, ModelFileError), (200, None)])
def test_one_that_answers_before_it_has_loaded_is_asked_for_a_token(put, mill, load_spec, status, error):
    answer = f"self.send_response({status}) if self.command == 'POST' else self.send_response(200)"
    put("mill", SERVER.replace("self.send_response(200)", answer))
    failures = msgspec.convert({"model": ["prompt"]}, type(made().failures))  # it answers with the question
    engine = mill(ready=Ready(timeout_s=20, ask=True), failures=failures)
    if error is None:
        assert engine.start(load_spec, quiet)
        return
    with pytest.raises(error, match=r'it answered 500: \{"model": "demo:rbee-tiny:Q8_0", "prompt": "a"'):
        engine.start(load_spec, quiet)
    assert not engine.alive()


def test_one_that_cannot_be_run_is_told(programs, mill, load_spec):
    with pytest.raises(EngineUnavailableError, match="'mill' is not on the PATH; build a mill"):
        mill().start(load_spec, quiet)
    (programs / "mill").write_text("no program")
    (programs / "mill").chmod(0o755)
    with pytest.raises(EngineUnavailableError, match="cannot be started: Exec format error"):
        mill().start(load_spec, quiet)


def test_one_that_dies_in_mid_answer_is_no_longer_alive(engine, load_spec):
    endpoint = engine.start(load_spec, quiet)
    with closing(chat(endpoint, stream=True, ignore_eos=True)) as connection:
        response = connection.getresponse()
        response.readline()
        os.kill(pid_of(engine), 9)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            response.read()
    until(lambda: not engine.alive())
    assert engine.status().slots_busy is None


def test_one_that_says_it_is_dead_while_its_process_runs_is_not_alive(put, mill, load_spec):
    put(
        "mill",
        SERVER.replace("self.answer(body)", "print('Generation Thread died: x', flush=True)\n        self.answer(b'')"),
    )
    engine = mill(failures=Failures(dead=("generation thread died",)))
    endpoint = engine.start(load_spec, quiet)
    assert engine.alive()
    line = http.client.HTTPConnection(urlsplit(endpoint.url).netloc)
    with closing(line):
        line.request("POST", "/v1/completions", b"{}")
        line.getresponse().read()
    until = time.monotonic() + 10
    while engine.alive() and time.monotonic() < until:
        time.sleep(0.02)
    assert not engine.alive()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, b'{"error": "generation thread died"}', WorkerFailedError),
        (400, b'{"error": "logprobs must be of type bool"}', InvalidRequestError),
        (500, b'{"error": {"message": "Cannot parse tools: x", "type": "server_error"}}', InvalidRequestError),
        (500, b'{"error": {"message": "no idea", "type": "server_error"}}', None),
        (500, b'{"error": "no idea"}', None),
        (400, b'{"error": {"message": "no", "type": "invalid_request_error"}}', None),
        (400, b"no", None),
        (400, b"[]", None),
    ],
)
def test_its_refusals_are_told_in_words_that_clients_know(mill, status, body, error):
    failures = Failures(dead=("generation thread died",), request=("cannot parse tools",))
    found = mill(failures=failures).refusal("/v1/chat/completions", status, body)
    assert found is None if error is None else type(found) is error


def test_a_server_of_the_same_library_comes_behind_the_engine_that_drives_it_itself():
    (record,) = (one for one in shipped_records() if one.name == "mlx-lm")
    assert engine_of(record).info().preference == {"metal": -10, "cpu": -20}


def test_a_port_that_somebody_took_meanwhile_is_tried_anew(put, mill, load_spec, monkeypatch):
    put("mill", SERVER)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        free = [taken.getsockname()[1]]
        from rbee_path import engine as module

        real = module._free_port
        monkeypatch.setattr(module, "_free_port", lambda: free.pop() if free else real())
        # It must not be taken for the server that was started.
        threading.Thread(target=_deaf, args=(taken,), daemon=True).start()
        endpoint = mill().start(load_spec, quiet)
        assert urlsplit(endpoint.url).port != taken.getsockname()[1]


def _deaf(listening: socket.socket) -> None:
    while True:
        try:
            listening.accept()[0].close()
        except OSError:
            return


def test_a_long_line_and_odd_bytes_do_no_harm(put, mill, load_spec):
    put("mill", "import os; os.write(1, b'x' * 300_000 + b'\\xff\\x1b[31m\\r50%\\r'); os._exit(3)")
    with pytest.raises(EngineUnavailableError, match="code 3") as caught:
        mill().start(load_spec, quiet)
    assert len(caught.value.message) < 3000
    assert caught.value.message.isprintable()


JOIN = {"models": "/v1/models", "fetch": "mill pull {model_name}"}


@pytest.fixture
def running(put, programs):
    """A server that runs already; gives its address."""
    from rbee_path import engine as module
    from rbee_path.child import Child

    port = module._free_port()
    child = Child([str(put("mill", SERVER)), "--port", str(port)], dict(os.environ))
    url = f"http://127.0.0.1:{port}"
    from rbee_path.asking import Server

    until(lambda: Server(url=url).answers("/v1/models"))
    (programs / "mill").unlink()
    yield child, url
    child.end()


def named(make_spec, name: str):
    variant = ModelVariant(model_id=f"mill:{name}", name=f"mill:{name}", vendor="mill", format="mill")
    return make_spec(model_path=None, variant=variant, model_id=variant.model_id)


def test_a_server_that_runs_is_joined_and_left_alone(running, mill, make_spec):
    child, url = running
    engine = mill(join=Join(url=url, **JOIN), answers=Answers(model="{model_name}"))
    assert type(engine).availability().available
    endpoint = engine.start(named(make_spec, "tiny"), quiet)
    assert (endpoint.url, endpoint.model, endpoint.headers) == (url, "tiny", ())
    assert engine.alive()
    engine.stop()
    assert child.code is None
    engine.start(named(make_spec, "tiny"), quiet)
    child.end()
    until(lambda: engine.status() and not engine.alive())


def test_a_model_that_the_joined_server_lacks_is_told_with_how_to_bring_it(running, mill, make_spec):
    _, url = running
    with pytest.raises(ModelNotFoundError, match=r"'huge'\. Bring it: mill pull huge\. It has: tiny:latest"):
        mill(join=Join(url=url, **JOIN)).start(named(make_spec, "huge"), quiet)


def test_where_none_runs_one_is_started(put, mill, make_spec):
    put("mill", SERVER)
    engine = mill(join=Join(url="http://127.0.0.1:9", **JOIN))
    engine.start(named(make_spec, "tiny"), quiet)
    assert pid_of(engine)
    engine.stop()


def test_a_model_without_a_file_is_refused(put, mill, make_spec):
    put("mill", SERVER)
    with pytest.raises(ModelFileError, match="came without a file"):
        mill().start(make_spec(model_path=None), quiet)
