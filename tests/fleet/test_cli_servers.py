"""`rbee server`: a server that runs already joins the colony; here the colony's own queen is that server."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from fleet.conftest import one_line, sdk, text_of, user
from rbee.testing.colony import eventually


@pytest.fixture
def added(shared_colony):
    """The colony's own queen, added as a server with a key."""
    done = shared_colony.cli(
        "server", "add", "self", shared_colony.queen_url, "--model", "echo",
        "--key-file", str(shared_colony.token_file), "--replace", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    yield json.loads(done.stdout)
    shared_colony.cli("server", "rm", "self")


def test_its_models_are_the_colony_s_from_the_first_request_on(shared_colony, added):
    assert [one["name"] for one in added["models"]] == ["openai:self/echo"]
    with sdk(shared_colony) as client:
        # What vendors list is asked for anew every few seconds.
        eventually(lambda: "openai:self/echo" in {one.id for one in client.models.list()})
        answer = client.chat.completions.create(model="openai:self/echo", messages=user("one two"))
        assert answer.choices[0].message.content == "one two"
        stream = client.chat.completions.create(model="openai:self/echo", messages=user("one two"), stream=True)
        assert text_of(stream) == "one two"
    (worker,) = [one for one in shared_colony.workers() if one["model_id"] == "openai:self/echo"]
    assert worker["implementation"] == "openai"


def test_its_key_is_in_one_file_and_nowhere_else(shared_colony, added):
    assert added["has_key"] is True
    assert shared_colony.cli("infer", "openai:self/echo", "one").stdout == "one\n"
    token = shared_colony.token.encode()
    holding = {
        path.name for path in Path(shared_colony.home).rglob("*") if path.is_file() and token in path.read_bytes()
    }
    assert holding == {"token", "servers.json"}
    (file,) = Path(shared_colony.home).rglob("servers.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for told in (shared_colony.cli("server", "ls").stdout, shared_colony.cli("server", "ls", "--json").stdout):
        assert "self" in told
        assert shared_colony.token not in told
    commands = [process.cmdline() for process in shared_colony.processes()]
    assert shared_colony.token not in str(commands)


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


def test_a_server_that_does_not_have_the_model_is_told_at_once(shared_colony):
    done = shared_colony.cli("server", "add", "box", shared_colony.queen_url, "--model", "nothing-of-the-kind")
    assert done.returncode == 1
    assert "has no model 'nothing-of-the-kind'" in one_line(done.stderr)
    assert "box" not in shared_colony.cli("server", "ls").stdout
