"""Models that stay, and models that go, in a real colony."""

import json

import httpx2
import psutil
import pytest
from fleet.conftest import one_line, sdk, user
from rbee.testing.colony import eventually


@pytest.fixture(scope="module")
def colony(tmp_path_factory):
    """One of its own: every worker in it counts."""
    from rbee.testing.colony import Colony

    made = Colony(tmp_path_factory.mktemp("keeping"), {"hive.threads": "3", "hive.labels": "room=attic"}).start_up()
    yield made
    made.stop()
    made.clean_up()


@pytest.fixture(autouse=True)
def empty(colony):
    yield
    for worker in colony.workers():
        colony.run_job("worker_process_delete", worker_id=worker["worker_id"], force=True)


def loaded(colony):
    return {worker["model_id"] for worker in colony.workers()}


def told(colony, *arguments):
    """What a command prints as JSON."""
    done = colony.cli(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ask(colony, model, keep_alive=None):
    headers = {} if keep_alive is None else {"X-RBEE-Keep-Alive": keep_alive}
    with sdk(colony) as client:
        client.chat.completions.create(model=model, messages=user("hello"), extra_headers=headers)


def test_a_request_says_how_long_its_model_stays(colony):
    ask(colony, "echo:a", "0")
    eventually(lambda: loaded(colony) == set())
    ask(colony, "echo:b", "4s")
    assert colony.workers()[0]["unloads_in_s"] <= 4
    eventually(lambda: loaded(colony) == set())
    ask(colony, "echo:c", "-1")
    assert colony.workers()[0]["unloads_in_s"] is None


def test_ollamas_clients_load_and_unload(colony):
    def generate(**fields):
        answer = httpx2.post(f"{colony.queen_url}/api/generate", json={"model": "echo:o", **fields}, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert generate(keep_alive=0)["done_reason"] == "unload"
    assert loaded(colony) == set()
    assert generate(keep_alive="10m")["done_reason"] == "load"
    (running,) = httpx2.get(f"{colony.queen_url}/api/ps").json()["models"]
    assert running["expires_at"]
    assert 590 < colony.workers()[0]["unloads_in_s"] <= 600
    assert generate(keep_alive=0)["done_reason"] == "unload"
    eventually(lambda: loaded(colony) == set())


def test_ollamas_clients_unload_all_workers_of_a_model(colony):
    assert colony.cli("load", "echo:two", "--replicas", "2").returncode == 0
    answer = httpx2.post(f"{colony.queen_url}/api/chat", json={"model": "echo:two", "messages": [], "keep_alive": 0})
    assert answer.json()["done_reason"] == "unload"
    eventually(lambda: loaded(colony) == set())


def test_models_that_are_not_kept_take_turns_on_a_full_machine_and_nobody_is_refused(colony):
    ask(colony, "echo:stays")
    for model in ("echo:a", "echo:b", "echo:b", "echo:c"):
        ask(colony, model, "0")
    assert "echo:stays" in loaded(colony)


def test_a_real_model_that_is_pinned_stays_and_what_it_held_is_free_when_its_unload_is_over(colony):
    assert colony.cli("load", "demo", "--pin").returncode == 0
    (worker,) = colony.workers()
    assert worker["implementation"] == "llamacpp"
    for model in ("echo:one", "echo:two", "demo"):
        ask(colony, model, "0")
    assert worker["model_id"] in loaded(colony)
    assert colony.cli("unload", "demo").returncode == 0
    assert not psutil.pid_exists(worker["pid"])
    assert worker["worker_id"] not in {one["worker_id"] for one in colony.workers()}
    ask(colony, "demo", "0")
    eventually(lambda: loaded(colony) == set())


def test_the_newest_word_counts(colony):
    ask(colony, "echo:word", "10m")
    assert 590 < colony.workers()[0]["unloads_in_s"] <= 600
    assert colony.cli("load", "echo:word", "--keep-alive", "1h").returncode == 0
    assert 3590 < colony.workers()[0]["unloads_in_s"] <= 3600
    ask(colony, "echo:word")
    assert 3590 < colony.workers()[0]["unloads_in_s"] <= 3600


def test_unload_finishes_open_requests_sends_nothing_new_there_and_does_not_wait_when_forced(colony):
    slow = "echo:slow?delay_ms=40"
    with sdk(colony) as client:
        stream = iter(client.chat.completions.create(model=slow, messages=user("a " * 60), stream=True))
        next(stream)
        (before,) = colony.workers()
        with colony.start("unload", slow) as unload:
            eventually(lambda: colony.workers()[0]["state"] == "draining")
            ask(colony, slow)
            words = sum(1 for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
            assert words >= 58
            assert unload.wait() == 0
        assert before["worker_id"] not in {worker["worker_id"] for worker in colony.workers()}
        stream = iter(client.chat.completions.create(model=slow, messages=user("a " * 200), stream=True))
        next(stream)
        done = told(colony, "unload", slow, "--force")
        words = sum(1 for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
        assert words >= 198, "another worker has taken up the answer"
        assert not {worker["worker_id"] for worker in colony.workers()} & set(done["stopped"])


def test_ctrl_c_gives_up_the_load(colony):
    with colony.start("load", "echo:never?load_s=60", "--pin") as load:
        eventually(lambda: any(worker["state"] == "loading" for worker in colony.workers()))
        load.interrupt()
        assert load.wait() == 130
    eventually(lambda: colony.workers() == [])


def test_a_pinned_model_makes_no_room_and_outlives_the_colony(colony):
    found = told(colony, "load", "echo:pinned", "--pin")
    assert (found["started"], found["pinned"]) == (1, True)
    for model in ("echo:one", "echo:two", "echo:three"):
        ask(colony, model)
    assert "echo:pinned" in loaded(colony)
    assert "echo:one" not in loaded(colony)
    assert "pinned" in colony.cli("ps").stdout
    colony.stop()
    colony.start_up()
    ask(colony, "echo:pinned", "0")
    ask(colony, "echo:other")
    assert {"echo:pinned", "echo:other"} <= loaded(colony)
    assert colony.cli("unload", "echo:pinned").returncode == 0
    assert "echo:pinned" not in loaded(colony)
    ask(colony, "echo:pinned", "0")
    eventually(lambda: "echo:pinned" not in loaded(colony))


def test_replicas_are_there_when_the_command_ends_and_go_together(colony):
    done = colony.cli("load", "echo:many", "--replicas", "2", "--context", "512", "--keep-alive", "1h")
    assert done.returncode == 0, done.stderr
    ids = done.stdout.split()
    assert len(ids) == 2
    assert {worker["worker_id"] for worker in colony.workers()} == set(ids)
    assert {worker["context_length"] for worker in colony.workers()} == {512}
    again = told(colony, "load", "echo:many", "--replicas", "2")
    assert again["started"] == 0
    one = told(colony, "unload", ids[0])
    assert one["stopped"] == ids[:1]
    more = told(colony, "load", "echo:many", "--context", "1024")
    assert (more["started"], set(more["workers"]) & set(ids)) == (1, set())
    rest = told(colony, "unload", "echo:many")
    assert set(rest["stopped"]) == {ids[1], *more["workers"]}
    assert colony.workers() == []


def test_a_model_goes_where_it_is_told_to(colony):
    found = told(colony, "load", "echo:here", "--where", "room=attic", "--where", "device=cpu")
    assert found["started"] == 1
    again = told(colony, "load", "echo:here", "--where", "cores>=1")
    assert (again["started"], again["workers"]) == (0, found["workers"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("load", "echo:x", "--where", "room=cellar"), 1, "its room is attic, and room=cellar is asked for"),
        (("load", "echo:x", "--where", "owner!=lab", "--where", "gpu=4090"), 1, "no device with gpu=4090 there suits"),
        (("load", "echo:x", "--where", "attic"), 1, "'attic' is no selector"),
        (("load", "echo:x", "--where", "vram>=lots"), 1, "'lots' is no number"),
        (("load", "no-such-model"), 1, "no-such-model"),
        (("load", "echo:x", "--keep-alive", "soon"), 1, "'soon' is no span of time"),
        (("load", "echo:x", "--replicas", "0"), 2, "--replicas"),
        (("load", "echo:x", "--hive", "nowhere"), 1, "Hive 'nowhere' is not online"),
        (("load", "echo:x", "--replicas", "9"), 1, "threads"),
        (("unload", "echo:never"), 1, "No worker has loaded 'echo:never'"),
        (("unload", ""), 2, "it is empty"),
    ],
)
def test_what_cannot_be_is_one_line(colony, arguments, code, words):
    done = colony.cli(*arguments)
    assert done.returncode == code
    assert words in one_line(done.stderr)
