"""Workers side by side share the processor, and the longest idle one makes room."""

from concurrent.futures import ThreadPoolExecutor

import psutil
from fleet.conftest import PYTHON, SELF, sdk, user
from rbee.testing.colony import eventually


def ask(client, model, text, **more):
    answer = client.chat.completions.create(model=model, messages=user(text), temperature=0, **more)
    return answer.choices[0].message.content


def threads_given(colony):
    """By worker: what its process was told, seen from outside."""
    given = {}
    for worker in colony.workers():
        given[worker["model_name"]] = int(psutil.Process(worker["pid"]).environ()["RBEE_WORKER_THREADS"])
    return given


def hive(colony):
    (found,) = colony.http.get(f"{colony.queen_url}/v1/info").json()["hives"]
    return found


def test_two_models_answer_side_by_side_with_their_shares_of_the_threads(colony):
    with sdk(colony) as client:
        assert ask(client, "demo", *PYTHON[:1]) == PYTHON[1]
        assert ask(client, "echo", "one") == "one"
        assert threads_given(colony) == {"demo": 2, "echo": 1}
        eventually(lambda: hive(colony)["threads_free"] == 1)
        assert hive(colony)["threads_total"] == 4
        with ThreadPoolExecutor(6) as pool:
            demo = [pool.submit(ask, client, "demo", SELF[0]) for _ in range(3)]
            echo = [pool.submit(ask, client, "echo", f"two {number}") for number in range(3)]
        assert [one.result() for one in demo] == [SELF[1]] * 3
        assert [one.result() for one in echo] == [f"two {number}" for number in range(3)]
    # The engine has its own word for it: no more threads of computation than were given.
    assert psutil.Process(colony.worker("demo")["pid"]).environ()["OMP_NUM_THREADS"] == "2"


def test_a_third_model_takes_the_place_of_the_longest_idle_one(make_colony):
    colony = make_colony(**{"hive.threads": "2"})
    with sdk(colony) as client:
        for model in ("echo:one", "echo:two", "echo:one"):
            assert ask(client, model, "hello") == "hello"
        assert threads_given(colony) == {"echo:one": 1, "echo:two": 1}
        assert ask(client, "echo:three", "hello") == "hello"
        assert threads_given(colony) == {"echo:one": 1, "echo:three": 1}
        assert ask(client, "echo:two", "again") == "again"
        assert threads_given(colony) == {"echo:three": 1, "echo:two": 1}


def test_a_busy_worker_is_not_stopped_to_make_room(make_colony):
    colony = make_colony(**{"hive.threads": "1", "queen.slot_wait_s": "0.5"})
    with sdk(colony) as client:
        stream = client.chat.completions.create(
            model="echo:slow?tokens=500", messages=user("x"), stream=True, max_tokens=500
        )
        pieces = iter(stream)
        next(pieces)
        refused = colony.http.post(
            f"{colony.openai_base_url}/chat/completions", json={"model": "echo", "messages": user("x")}
        )
        assert refused.status_code == 503
        assert "busy" in refused.json()["error"]["message"]
        assert int(refused.headers["retry-after"]) > 0
        assert next(pieces).choices, "the busy one goes on"
        stream.close()


def test_two_models_with_room_for_one_are_both_served_when_both_are_asked_at_the_same_time(make_colony):
    colony = make_colony(**{"hive.threads": "1", "worker.slots": "2"})
    with sdk(colony) as client, ThreadPoolExecutor(12) as pool:
        asked = [f"echo:{name}?delay_ms=5" for name in ("one", "two")] * 6
        assert list(pool.map(lambda model: ask(client, model, "hello there"), asked)) == ["hello there"] * 12
    assert len(threads_given(colony)) == 1
