"""A queen in several processes: one port, one state, one end."""

import json
import os
import signal

import httpx2
import pytest
from rbee.testing.colony import eventually


@pytest.fixture
def queen(home):
    """A queen of three processes, and a hive; gives what she says of herself."""
    done = home.cli("queen", "start", "--processes", "3", "--detach", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    home.settings["queen.port"] = facts["url"].rpartition(":")[2]
    home.settings["queen.url"] = facts["url"]
    yield facts
    home.cli("down")


def gates(home):
    return [one for one in home.processes() if "rbee.gates" in one.cmdline()]


def test_every_process_answers_with_the_workers_that_the_queen_knows(home, queen):
    started = home.cli("hive", "start", "--detach", "--json")
    assert started.returncode == 0, started.stderr
    home.settings["hive.port"] = json.loads(started.stdout)["url"].rpartition(":")[2]
    assert len(gates(home)) == 2
    ask = {"model": "echo", "messages": [{"role": "user", "content": "hello there"}]}
    token = {"authorization": f"Bearer {home.token}"}
    served = set()

    def all_have_answered():
        # A connection a request: the system spreads them over the processes.
        with httpx2.Client(base_url=queen["url"], headers=token, timeout=60) as client:
            answer = client.post("/v1/chat/completions", json=ask)
            assert answer.status_code == 200, answer.text
            assert answer.json()["choices"][0]["message"]["content"] == "hello there"
            served.add(answer.headers["x-request-id"].rpartition("-")[0])
            assert client.get("/v1/info").json()["workers_total"] == 1
        return len(served) == 3

    eventually(lambda: home.cli("run", "echo", "hi").returncode == 0, 30)
    eventually(all_have_answered, 30)
    metrics = httpx2.get(f"{queen['url']}/metrics", headers=token).text
    told = sum(
        float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("rbee:request_success_total")
    )
    assert told >= 3
    assert home.cli("down").returncode == 0
    home.nothing_left()


def test_a_queen_that_is_killed_leaves_no_process_on_her_port(home, queen):
    os.kill(queen["pid"], signal.SIGKILL)
    home.nothing_left(within=10)
    again = home.cli("queen", "start", "--processes", "2", "--detach", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(home.cli("queen", "stop", "--json").stdout) == {"stopped_pid": json.loads(again.stdout)["pid"]}
    home.nothing_left()
