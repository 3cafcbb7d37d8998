"""`rbee server`: a server that runs already joins the colony; here another colony's queen is that server."""

from __future__ import annotations

import json
import stat
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from fleet.conftest import one_line, sdk, text_of, user
from rbee.testing.colony import Colony, eventually


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    """Another colony."""
    colony = Colony(tmp_path_factory.mktemp("far"))
    try:
        yield colony.start_up()
    finally:
        colony.clean_up()


@pytest.fixture
def added(shared_colony, far):
    """The other colony's queen, added as a server with a key."""
    done = shared_colony.cli(
        "server", "add", "far", far.queen_url, "--model", "echo",
        "--key-file", str(far.token_file), "--replace", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    yield json.loads(done.stdout)
    shared_colony.cli("server", "rm", "far")


@pytest.mark.parametrize("end", ["", "/v1", "/openai/v1"])
def test_the_colony_s_own_queen_is_refused_by_whatever_address(shared_colony, end):
    port = shared_colony.queen_url.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost"):
        done = shared_colony.cli("server", "add", "self", f"http://{host}:{port}{end}", "--model", "echo")
        assert (done.returncode, done.stdout) == (1, "")
        assert "is this colony's own queen" in one_line(done.stderr)
    assert "self" not in shared_colony.cli("server", "ls").stdout


def test_two_queens_that_lead_to_each_other_refuse_what_comes_back(colony, far):
    def done(one, *args):
        run = one.cli(*args)
        assert run.returncode == 0, run.stderr

    def knows(one, other, name):
        key = ("--key-file", str(other.token_file))
        done(one, "server", "add", name, other.queen_url, "--model", "round", *key)
        done(one, "model", "alias", "round", f"openai:{name}/round")

    done(far, "model", "alias", "round", "echo")
    knows(colony, far, "far")
    assert colony.cli("infer", "round", "one").stdout == "one\n", "through two queens, and no further"
    knows(far, colony, "near")
    for stream in (False, True):
        answer = colony.http.post(
            f"{colony.openai_base_url}/chat/completions",
            json={"model": "round", "messages": user("one"), "stream": stream},
            timeout=60,
        )
        assert answer.status_code == 400, answer.text
        assert "has come through this queen before" in answer.json()["error"]["message"]


def test_its_models_are_the_colony_s_from_the_first_request_on(shared_colony, added):
    assert [one["name"] for one in added["models"]] == ["openai:far/echo"]
    with sdk(shared_colony) as client:
        # What vendors list is asked for anew every few seconds.
        eventually(lambda: "openai:far/echo" in {one.id for one in client.models.list()})
        answer = client.chat.completions.create(model="openai:far/echo", messages=user("one two"))
        assert answer.choices[0].message.content == "one two"
        stream = client.chat.completions.create(model="openai:far/echo", messages=user("one two"), stream=True)
        assert text_of(stream) == "one two"
    (worker,) = [one for one in shared_colony.workers() if one["model_id"] == "openai:far/echo"]
    assert worker["implementation"] == "openai"


def test_its_key_is_in_one_file_and_nowhere_else(shared_colony, far, added):
    assert added["has_key"] is True
    assert shared_colony.cli("infer", "openai:far/echo", "one").stdout == "one\n"
    token = far.token.encode()
    holding = {
        path.name for path in Path(shared_colony.home).rglob("*") if path.is_file() and token in path.read_bytes()
    }
    assert holding == {"servers.json"}
    (file,) = Path(shared_colony.home).rglob("servers.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for told in (shared_colony.cli("server", "ls").stdout, shared_colony.cli("server", "ls", "--json").stdout):
        assert "far" in told
        assert far.token not in told
    commands = [process.cmdline() for process in shared_colony.processes()]
    assert far.token not in str(commands)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("add", "Box", "http://127.0.0.1:9"), 1, "'Box' is no name for a server"),
        (("add", "box", "127.0.0.1:9"), 1, "is no server's address"),
        (("add", "box", "http://me:secret@127.0.0.1:9"), 1, "--key-file or --key-stdin"),
        (("add", "box", "http://127.0.0.1:9"), 1, "does not answer"),
        (("add", "box", "http://127.0.0.1:9", "--no-key", "--key-stdin"), 2, "exclude each other"),
        (("add", "box", "http://127.0.0.1:9", "--key-file", "/nowhere"), 1, "'/nowhere' cannot be read"),
        (("add", "box", "http://127.0.0.1:9", "--key-file", "/dev/null"), 1, "The key is empty"),
        (("rm", "nobody"), 1, "no server 'nobody'"),
    ],
)
def test_what_cannot_be_is_one_line(shared_colony, arguments, code, told):
    done = shared_colony.cli("server", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in one_line(done.stderr)
    assert "secret" not in done.stderr


def test_a_server_that_does_not_have_the_model_is_told_at_once(shared_colony, far):
    done = shared_colony.cli("server", "add", "box", far.queen_url, "--model", "nothing-of-the-kind")
    assert done.returncode == 1
    assert "has no model 'nothing-of-the-kind'" in one_line(done.stderr)
    assert "box" not in shared_colony.cli("server", "ls").stdout


class Failing(BaseHTTPRequestHandler):
    """A server of one model that fails while the test says so."""

    def do_GET(self):
        self.tell(200, {"data": [{"id": "m"}]})

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.server.fails:
            self.tell(500, {"error": {"message": "out of luck"}})
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": "well"}, "finish_reason": "stop"}
            self.tell(200, {"object": "chat.completion", "choices": [choice]})

    def tell(self, status, told):
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def failing():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    server.fails = True
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_a_server_answers_is_not_held_against_its_worker(colony, failing):
    url = f"http://127.0.0.1:{failing.server_address[1]}/v1"
    done = colony.cli("server", "add", "luckless", url)
    assert done.returncode == 0, done.stderr

    def ask():
        body = {"model": "openai:luckless/m", "messages": user("one")}
        return colony.http.post(f"{colony.openai_base_url}/chat/completions", json=body, timeout=60)

    for _ in range(4):
        answer = ask()
        assert (answer.status_code, "out of luck" in answer.text) == (500, True)
        assert "x-rbee-elsewhere" not in answer.headers
    failing.fails = False
    assert ask().json()["choices"][0]["message"]["content"] == "well"
    assert len(colony.workers()) == 1, "no other one was started, for which others might have been stopped"
