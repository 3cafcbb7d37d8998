"""Workers and machines that are taken out of work, and back."""

import json
import threading

import httpx2
import pytest
from fleet.conftest import one_line, sdk, text_of, user
from rbee.testing.colony import eventually

SLOW = "echo:drained?delay_ms=30"
LONG = " ".join(["word"] * 250)


@pytest.fixture
def spawned(shared_colony):
    """A slow worker; at the end everything works again."""
    told = shared_colony.cli("worker", "spawn", SLOW, "--worker-id", "drained-1", "--json")
    assert told.returncode == 0, told.stderr
    yield "drained-1"
    shared_colony.cli("hive", "drain", "--undo")
    shared_colony.run_job("worker_process_delete", worker_id="drained-1", force=True)


def ask(colony):
    """A stream that takes about two seconds, its text, and a way to wait for it."""
    begun = threading.Event()
    found = []

    def read():
        with sdk(colony) as client:
            stream = client.chat.completions.create(model=SLOW, messages=user(LONG), stream=True)
            begun.set()
            found.append(text_of(stream))

    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(30)
    return thread, found


def state(colony, worker_id="drained-1"):
    return next((one["state"] for one in colony.workers() if one["worker_id"] == worker_id), None)


def test_a_worker_that_drains_finishes_its_stream_and_takes_nothing_more_until_undone(shared_colony, spawned):
    thread, found = ask(shared_colony)
    early = json.loads(shared_colony.cli("worker", "drain", "drained", "--no-wait", "--json").stdout)
    assert early == {"worker_id": "drained-1", "state": "draining", "open_requests": 1, "error": None}
    assert state(shared_colony) == "draining"
    late = shared_colony.cli("worker", "drain", "drained-1", "--timeout", "0")
    assert late.returncode == 1
    assert "goes on draining" in one_line(late.stderr)
    drained = shared_colony.cli("worker", "drain", "drained-1")
    assert drained.returncode == 0
    assert "none is open" in drained.stderr
    thread.join(30)
    assert found == [LONG]
    url = next(one["url"] for one in shared_colony.workers() if one["worker_id"] == "drained-1")
    body = {"model": SLOW, "messages": user("hi")}
    token = {"authorization": f"Bearer {shared_colony.token}"}
    refused = httpx2.post(f"{url}/v1/chat/completions", json=body, headers=token, timeout=30)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "worker_not_ready")
    assert refused.headers["retry-after"] == "5"
    undone = shared_colony.cli("worker", "drain", "drained-1", "--undo", "--json")
    assert json.loads(undone.stdout)["state"] == "ready"
    eventually(lambda: state(shared_colony) == "ready")
    assert shared_colony.cli("run", SLOW, "hi").stdout == "hi\n"
    assert len([one for one in shared_colony.workers() if one["worker_id"].startswith("drained")]) == 1


def test_a_hive_that_drains_starts_nothing_until_undone(shared_colony, spawned):
    done = json.loads(shared_colony.cli("hive", "drain", "--json").stdout)
    assert done["operational_status"] == "draining"
    assert [(one["worker_id"], one["state"], one["open_requests"]) for one in done["workers"]] == [
        ("drained-1", "draining", 0)
    ]
    refused = shared_colony.cli("worker", "spawn", "echo:another")
    assert refused.returncode != 0
    assert "--undo" in one_line(refused.stderr)
    with httpx2.Client(base_url=shared_colony.queen_url, timeout=60) as client:
        answer = client.post("/v1/chat/completions", json={"model": SLOW, "messages": user("hi")})
    assert answer.status_code == 503
    assert "drain" in answer.text
    assert "retry-after" in answer.headers
    assert json.loads(shared_colony.cli("hive", "drain", "--undo", "--json").stdout)["operational_status"] == "ready"
    eventually(lambda: shared_colony.cli("run", SLOW, "hi").stdout == "hi\n", 20)


def test_a_worker_that_loads_while_its_hive_drains_takes_nothing_until_undone(shared_colony):
    late = "echo:late?load_s=3"
    try:
        with shared_colony.start("worker", "spawn", late, "--worker-id", "late-1") as spawning:
            eventually(lambda: state(shared_colony, "late-1") == "loading", 20)
            assert shared_colony.cli("hive", "drain").returncode == 0
            assert "online, draining" in shared_colony.cli("status").stdout
            assert spawning.wait(60) == 0
        eventually(lambda: state(shared_colony, "late-1") == "draining")
        with httpx2.Client(base_url=shared_colony.queen_url, timeout=60) as client:
            answer = client.post("/v1/chat/completions", json={"model": late, "messages": user("hi")})
        assert answer.status_code == 503
        assert "drain" in answer.text
        shared_colony.cli("hive", "drain", "--undo")
        eventually(lambda: shared_colony.cli("run", late, "hi").stdout == "hi\n", 20)
    finally:
        shared_colony.cli("hive", "drain", "--undo")
        shared_colony.run_job("worker_process_delete", worker_id="late-1", force=True)


def test_who_is_not_there_cannot_be_drained(shared_colony, spawned):
    worker = shared_colony.cli("worker", "drain", "drainde-1")
    assert worker.returncode != 0
    assert "Did you mean 'drained-1'?" in one_line(worker.stderr)
    hive = shared_colony.cli("hive", "drain", "nowhere")
    assert hive.returncode != 0
    assert "'nowhere'" in one_line(hive.stderr)


def test_a_worker_that_drains_from_an_earlier_life_of_the_hive_is_not_waited_for(colony):
    spawn = ("worker", "spawn", "echo:kept", "--worker-id", "kept", "--json")
    assert colony.cli(*spawn).returncode == 0
    assert colony.cli("worker", "drain", "kept").returncode == 0
    colony.kill9()
    colony.start_up()
    refused = colony.cli(*spawn)
    assert refused.returncode == 1
    assert "rbee worker drain kept --undo" in one_line(refused.stderr)
    eventually(lambda: colony.cli("worker", "drain", "kept", "--undo").returncode == 0)
    served = colony.cli(*spawn)
    assert served.returncode == 0, served.stderr
    assert json.loads(served.stdout)["already"] is True
