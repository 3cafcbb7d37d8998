"""kill -9 of anything: the request under way is told, the next one is served, nothing is left behind."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import openai
import psutil
import pytest
from fleet.conftest import PYTHON, sdk, text_of, user
from rbee.settings import Settings
from rbee.testing.colony import Colony, eventually


def kill9(worker):
    os.kill(worker["pid"], signal.SIGKILL)


def long_stream(client, **more):
    return client.completions.create(
        model="demo",
        prompt="Python",
        max_tokens=1900,
        temperature=0,
        stream=True,
        extra_body={"ignore_eos": True},
        **more,
    )


def test_an_answer_whose_worker_is_killed_is_gone_on_with_by_another(colony):
    with sdk(colony) as client:
        pieces = iter(long_stream(client))
        text = next(pieces).choices[0].text
        first = colony.worker("demo")
        kill9(first)
        rest = list(pieces)
        text += "".join(choice.text for piece in rest for choice in piece.choices)
        assert rest[-1].choices[0].finish_reason == "length"
        assert len({piece.id for piece in rest}) == 1
        second = colony.worker("demo")
    # Greedy, it is the text that one worker alone would have given.
    assert text == colony_text(colony)
    assert second["worker_id"] != first["worker_id"]
    assert [worker["worker_id"] for worker in colony.workers()] == [second["worker_id"]], "no ghost"


def colony_text(colony):
    with sdk(colony) as client:
        return "".join(choice.text for piece in long_stream(client) for choice in piece.choices)


def test_an_answer_that_nobody_can_go_on_with_ends_with_an_error_and_the_next_is_whole(colony):
    with sdk(colony) as client:
        # Log probabilities of what the dead worker would have said, nobody knows.
        pieces = iter(long_stream(client, logprobs=1))
        next(pieces)
        first = colony.worker("demo")
        kill9(first)
        with pytest.raises(openai.APIError, match="died or hung while it answered"):
            list(pieces)
        answer = client.chat.completions.create(model="demo", messages=user(PYTHON[0]), temperature=0)
        assert answer.choices[0].message.content == PYTHON[1]
    assert colony.worker("demo")["worker_id"] != first["worker_id"]


def test_a_worker_killed_while_idle_is_replaced_without_anybody_noticing(colony):
    with sdk(colony) as client:
        asked = {"model": "demo", "messages": user(PYTHON[0]), "temperature": 0}
        client.chat.completions.create(**asked)
        first = colony.worker("demo")
        kill9(first)
        assert text_of(client.chat.completions.create(**asked, stream=True)) == PYTHON[1]
        assert colony.worker("demo")["worker_id"] != first["worker_id"]


def test_a_worker_killed_before_the_first_token_is_replaced_without_the_client_noticing(colony):
    model = "echo:late?delay_ms=1500"
    with sdk(colony) as client, ThreadPoolExecutor(1) as threads:
        client.chat.completions.create(model=model, messages=user("warm"))
        first = colony.worker(model)
        answer = threads.submit(client.chat.completions.create, model=model, messages=user("hello"))
        eventually(lambda: colony.worker_info(first)["slots_available"] == first["slots_total"] - 1)
        kill9(first)
        assert answer.result().choices[0].message.content == "hello"
        assert colony.worker(model)["worker_id"] != first["worker_id"]


@pytest.mark.parametrize("fault", ["die", "step"])
def test_an_engine_that_fails_in_mid_answer_fails_that_answer_alone(colony, fault):
    model = f"echo:faulty?delay_ms=30&fail={fault}&tokens=4"
    with sdk(colony) as client:
        chunks = iter(client.chat.completions.create(model=model, messages=user("a b c d e f"), stream=True))
        said = [next(chunks).choices[0].delta.content or "" for _ in range(4)]
        with pytest.raises(openai.APIError):
            said.extend(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert "".join(said) == "a b c d"
        again = client.chat.completions.create(model="echo", messages=user("still here"))
        assert again.choices[0].message.content == "still here"
        # The faulty one too gets a new worker, which then fails in the same way.
        with pytest.raises(openai.APIError, match=r"fail|died"):
            client.chat.completions.create(model=model, messages=user("a b c d e f"))


def test_a_job_whose_worker_dies_ends_with_one_error_event(colony):
    job = colony.submit("infer", model="echo:job?delay_ms=30&fail=die&tokens=4", prompt="a b c d e f")
    *_, (_, last), (_, end) = colony.events(job)
    assert last["type"] == "error"
    assert last["code"] == "WORKER_FAILED"
    assert end.startswith("[ERROR] ")


def test_workers_end_by_themselves_when_the_colony_is_killed(make_colony):
    colony = make_colony(**{"worker.orphan_s": "2", "worker.heartbeat_s": "0.5"})
    with sdk(colony) as client:
        client.chat.completions.create(model="demo", messages=user(PYTHON[0]), temperature=0)
        client.chat.completions.create(model="echo", messages=user("hello"))
    colony.kill9()
    assert len(colony.processes()) == 2
    colony.nothing_left(within=12)


def test_by_default_workers_end_within_thirty_seconds_of_the_colony():
    worker = Settings().worker
    # One beat that was heard, the patience, one look of the watch, and leaving.
    assert worker.orphan_s + 1 + 5 < 30
    assert worker.heartbeat_s < worker.orphan_s


@pytest.mark.parametrize("elsewhere", [False, True], ids=["at the same ports", "at other ports"])
def test_workers_of_a_killed_colony_are_adopted_by_the_next_one(colony, elsewhere):
    with sdk(colony) as client:
        client.chat.completions.create(model="demo", messages=user(PYTHON[0]), temperature=0)
    before = colony.worker("demo")
    threads = psutil.Process(before["pid"]).environ()["RBEE_WORKER_THREADS"]
    colony.kill9()
    if elsewhere:
        colony.settings.update({"registry.port": "0", "queen.port": "0", "hive.port": "0"})
    colony.start_up()

    def adopted():
        (found,) = colony.workers()
        assert (found["worker_id"], found["pid"]) == (before["worker_id"], before["pid"])
        assert found["routable"]
        return True

    eventually(adopted, 15)
    with sdk(colony) as client:
        answer = client.chat.completions.create(model="demo", messages=user(PYTHON[0]), temperature=0)
        assert answer.choices[0].message.content == PYTHON[1]
    assert len(colony.workers()) == 1
    (hive,) = colony.http.get(f"{colony.queen_url}/v1/info").json()["hives"]
    assert hive["threads_free"] == 4 - int(threads), "the adopted worker keeps its share"


def test_an_adopted_worker_ends_with_its_new_colony(colony):
    assert colony.run_job("worker_spawn", model="echo")["type"] == "done"
    colony.kill9()
    colony.start_up()
    assert colony.stop() == 0
    colony.nothing_left()


def test_rbee_down_ends_the_workers_of_a_killed_colony(colony):
    worker_id = colony.run_job("worker_spawn", model="echo")["result"]["worker_id"]
    colony.kill9()
    done = colony.cli("down", "--json")
    assert json.loads(done.stdout) == {"stopped_pid": None, "stopped_programs": [], "leftover_workers": [worker_id]}
    colony.nothing_left()


def test_a_new_colony_starts_where_one_was_killed_without_workers(make_colony):
    colony: Colony = make_colony()
    colony.kill9()
    assert colony.cli("status").returncode == 3
    assert colony.start_up().workers() == []


def test_workers_that_die_of_every_request_are_left_alone_and_the_reason_is_told(colony):
    model, answers = "echo:loop?fail=die&tokens=2", []
    for _ in range(4):
        answer = colony.http.post(
            f"{colony.openai_base_url}/chat/completions", json={"model": model, "messages": user("a b c d e f")}
        )
        answers.append((answer.status_code, answer.json()["error"]["message"]))
    status, told = answers[-1]
    assert status == 503, answers
    assert "crashed: its process ended with code" in told
    assert "is next tried in" in told
    # Others are not held up by it.
    assert colony.http.post(
        f"{colony.openai_base_url}/chat/completions", json={"model": "echo", "messages": user("hello")}
    ).status_code == 200  # fmt: skip
