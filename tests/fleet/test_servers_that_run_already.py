"""A llama-server that somebody runs already joins the colony: its answers, its troubles, and who knows its key."""

from __future__ import annotations

import json
from pathlib import Path

import openai
import pytest
from fleet.conftest import PYTHON, SELF, one_line, sdk, text_of, user
from fleet.llama_server import LlamaServer
from fleet.tls_front import TlsFront, make_certificate
from rbee.testing.colony import eventually

NAME = "openai:box/tiny"
KEY = "sesame-opens-the-door"
LONG = {"prompt": "Python", "max_tokens": 1900, "temperature": 0, "extra_body": {"ignore_eos": True}}


@pytest.fixture
def server():
    with LlamaServer(key=KEY) as running:
        yield running


def add(colony, server, *more, key=KEY):
    return colony.cli("server", "add", "box", server.url, "--key-stdin", *more, stdin=f"{key}\n")


@pytest.fixture
def box(colony, server):
    """The server, added to a colony that a test may harm."""
    done = add(colony, server)
    assert done.returncode == 0, done.stderr
    return server


def ask(client, text=SELF[0], **more):
    return client.chat.completions.create(model=NAME, messages=user(text), temperature=0, **more)


def log_of(colony, worker):
    return colony.cli("logs", worker["worker_id"]).stdout


def test_a_person_adds_it_and_talks_to_it(colony, box):
    assert colony.cli("run", NAME, SELF[0]).stdout.strip() == SELF[1]
    with sdk(colony) as client:
        assert ask(client).choices[0].message.content == SELF[1]
        assert text_of(ask(client, PYTHON[0], stream=True)) == PYTHON[1]
        weather = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        tool = {"type": "function", "function": {"name": "get_weather", "parameters": weather}}
        called = ask(client, "What is the weather in Paris?", tools=[tool]).choices[0].message.tool_calls[0]
        assert (called.function.name, json.loads(called.function.arguments)) == ("get_weather", {"city": "Paris"})
        with pytest.raises(openai.BadRequestError, match=r"not made for embeddings|offers no embeddings"):
            client.embeddings.create(model=NAME, input="x")
    (worker,) = colony.workers()
    assert (worker["implementation"], worker["context_length"]) == ("openai", 2048)
    assert NAME in {one["id"] for one in colony.http.get(f"{colony.queen_url}/v1/models").json()["data"]}
    (model,) = json.loads(colony.cli("model", "ls", "--json").stdout)["models"]
    assert (model["name"], model["size_bytes"], model["context_length"]) == (NAME, 0, 2048)


def test_a_client_that_leaves_frees_the_server_s_slot(colony, box):
    with sdk(colony) as client:
        with client.completions.create(model=NAME, stream=True, **LONG) as stream:
            next(iter(stream))
            assert box.busy() == 1
        eventually(lambda: box.busy() == 0, 1.0)


def test_a_server_behind_tls_is_the_same_once_its_certificate_is_trusted(make_colony, server, tmp_path):
    certificate = make_certificate(tmp_path)
    trusting = make_colony(environment={"SSL_CERT_FILE": str(certificate)})
    with TlsFront(int(server.url.rpartition(":")[2]), certificate) as front, sdk(trusting) as client:
        add = ("server", "add", "box", front.url, "--key-stdin")
        done = trusting.cli(*add, stdin=KEY)
        assert done.returncode == 0, done.stderr
        assert ask(client).choices[0].message.content == SELF[1]
        assert text_of(ask(client, PYTHON[0], stream=True)) == PYTHON[1]
        with client.completions.create(model=NAME, stream=True, **LONG) as stream:
            next(iter(stream))
            assert server.busy() == 1
        eventually(lambda: server.busy() == 0, 2.0)
        del trusting.environment["SSL_CERT_FILE"]
        refused = one_line(trusting.cli(*add, "--replace", stdin=KEY).stderr)
        assert "its certificate is not trusted" in refused
        assert "SSL_CERT_FILE" in refused


def test_it_dies_in_mid_answer_and_comes_back(colony, box):
    with sdk(colony) as client:
        stream = client.completions.create(model=NAME, stream=True, **LONG)
        pieces = iter(stream)
        next(pieces)
        (worker,) = colony.workers()
        box.kill()
        with pytest.raises(openai.APIError):
            list(pieces)
        with pytest.raises(openai.APIStatusError, match=r"Connect call failed|does not answer"):
            ask(client)
        eventually(lambda: not colony.workers(), 20.0)
        assert f"The server 'box' at {box.url}/v1 does not answer" in log_of(colony, worker)
        with pytest.raises(openai.APIStatusError, match=r"does not answer.*Is it running"):
            ask(client)
        assert not colony.workers()
        box.start()

        def answered():
            try:
                return ask(client).choices[0].message.content
            except openai.APIStatusError:
                return None  # for some seconds after a failure nobody tries again

        assert eventually(answered, 20.0, every=0.2) == SELF[1]


def test_a_renewed_key_is_taken_and_the_old_one_refused_in_words(colony, box):
    with sdk(colony) as client:
        ask(client)
        (first,) = colony.workers()
        box.kill()
        box.key = "another-door"
        box.start()
        with pytest.raises(openai.APIStatusError, match=r"refuses the key.*rbee server add box .*--key-stdin"):
            ask(client)
        done = add(colony, box, "--replace", key="another-door")
        assert done.returncode == 0, done.stderr
        eventually(lambda: first["worker_id"] not in {one["worker_id"] for one in colony.workers()}, 15.0)
        assert ask(client).choices[0].message.content == SELF[1]


def test_a_server_that_is_removed_gets_nothing_any_more(colony, box):
    with sdk(colony) as client:
        ask(client)
        assert colony.cli("server", "rm", "box").returncode == 0
        eventually(lambda: not colony.workers(), 15.0)
        with pytest.raises(openai.NotFoundError, match="no server 'box'"):
            eventually(lambda: ask(client) and None)


def test_another_model_at_the_same_address_is_not_mistaken_for_it(colony, box):
    with sdk(colony) as client:
        box.kill()
        box.name = "other"
        box.start()
        with pytest.raises(openai.NotFoundError, match=r"has no model 'tiny' any more\. It has: other"):
            ask(client)


def test_its_key_is_known_to_one_file_and_to_the_server(colony, box):
    with sdk(colony) as client:
        ask(client)
        (worker,) = colony.workers()
        told = [colony.http.get(f"{worker['url']}{path}").text for path in ("/info", "/capabilities", "/metrics")]
        for process in colony.processes():
            told += [str(process.cmdline()), str(process.environ())]
        # What goes wrong is told and written, too.
        box.kill()
        with pytest.raises(openai.APIStatusError) as caught:
            ask(client)
        told.append(caught.value.response.text)
        eventually(lambda: not colony.workers(), 20.0)
        with pytest.raises(openai.APIStatusError) as caught:
            ask(client)
        told.append(caught.value.response.text)
    for path in ("/v1/info", "/v1/models", "/v1/jobs", "/metrics"):
        told.append(colony.http.get(f"{colony.queen_url}{path}").text)
    told += [colony.cli("server", "ls", *more).stdout for more in ((), ("--json",))]
    told += [log_of(colony, worker), colony.said()]
    assert all(told[:3])
    assert KEY not in "\n".join(told)
    holding = {one.name for one in Path(colony.home).rglob("*") if one.is_file() and KEY.encode() in one.read_bytes()}
    assert holding == {"servers.json"}


def test_a_wrong_key_and_a_wrong_model_are_told_before_anything_is_kept(colony, server):
    assert "refuses its key (401)" in one_line(add(colony, server, key="wrong").stderr)
    assert "has no model 'big'. It has: tiny" in one_line(add(colony, server, "--model", "big").stderr)
    assert "refuses to answer without a key" in one_line(colony.cli("server", "add", "box", server.url).stderr)
    assert json.loads(colony.cli("server", "ls", "--json").stdout) == {"servers": []}


def test_a_key_is_not_sent_to_another_address_unasked(colony, box):
    moved = colony.cli("server", "add", "box", box.url.replace("127.0.0.1", "localhost"), "--replace")
    assert moved.returncode == 1
    assert f"is for {box.url}, and is not sent elsewhere unasked" in one_line(moved.stderr)
    assert colony.cli("server", "add", "box", box.url, "--replace").returncode == 0


def test_a_worker_for_it_starts_on_the_machine_that_knows_it_however_busy_that_is(make_site):
    with LlamaServer() as server:
        site = make_site()
        for program in (site.registry, site.queen, site.hive("alpha", **{"hive.threads": "8"})):
            program.start()
        knowing = site.hive("beta", **{"hive.threads": "1"}).start()
        eventually(lambda: all(one["engines"] for one in site.hives().values()) and len(site.hives()) == 2, 20)
        for name in ("first", "beta"):
            done = site.machines[name].cli("server", "add", "box", server.url)
            assert done.returncode == 0, done.stderr
        site.run_job("worker_spawn", hive_id="beta", model="echo")
        with sdk(site) as client:
            assert ask(client).choices[0].message.content == SELF[1]
        hives = {one["model_id"]: one["hive_id"] for one in site.workers()}
        assert hives == {"echo:echo": "beta", NAME: "beta"}
        assert knowing.runs
