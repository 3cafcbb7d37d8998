"""Two keys share the slots of one worker, and who waits hears where he is."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor

import httpx2
from fleet.conftest import sdk, user
from rbee.testing.colony import eventually

MODEL = "echo:slow?tokens=2000"


def ask(colony, key, order, **headers):
    """One whole answer; notes in `order` whose it was when it has come."""
    answer = httpx2.post(
        f"{colony.queen_url}/v1/chat/completions",
        json={"model": MODEL, "messages": user("x"), "max_tokens": 2},
        headers={"Authorization": f"Bearer {key}", **headers},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    order.append(key)
    return answer


def waiting(colony):
    metrics = colony.http.get(f"{colony.queen_url}/metrics").text
    return sum(
        float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("rbee:num_requests_waiting{")
    )


@contextlib.contextmanager
def slot_taken(colony):
    """The only slot is in use as long as the block lasts: whoever asks meanwhile stands in line."""
    with sdk(colony) as client:
        stream = client.chat.completions.create(
            model="echo:slow?tokens=2000", messages=user("x"), max_tokens=2000, stream=True
        )
        next(iter(stream))
        yield
        stream.close()


def queue_up(colony, pool, key, count, order, **headers):
    """Send requests and return once all of them wait."""
    before = waiting(colony)
    futures = [pool.submit(ask, colony, key, order, **headers) for _ in range(count)]
    eventually(lambda: waiting(colony) == before + count, within=60)
    return futures


def one_slot(make_colony):
    return make_colony(**{"worker.slots": "1", "queen.replicas": "1"})


def test_a_polite_key_is_not_behind_all_that_an_aggressive_one_has_queued_up(make_colony):
    colony = one_slot(make_colony)
    order: list[str] = []
    with ThreadPoolExecutor(20) as pool:
        with slot_taken(colony):
            futures = queue_up(colony, pool, "aggressive", 12, order)
            futures += queue_up(colony, pool, "polite", 1, order)
        answers = [future.result(60) for future in futures]
    assert order.index("polite") <= 2
    assert int(answers[-1].headers["x-rbee-queue-position"]) <= 2

    # Batch requests wait for interactive ones of the same key.
    order.clear()
    with ThreadPoolExecutor(20) as pool:
        with slot_taken(colony):
            futures = queue_up(colony, pool, "batch", 6, order, **{"X-RBEE-Priority": "batch"})
            futures += queue_up(colony, pool, "chat", 3, order)
        for future in futures:
            future.result(60)
    assert order == ["chat"] * 3 + ["batch"] * 6


def test_a_job_that_waits_hears_its_place(make_colony):
    colony = one_slot(make_colony)
    order: list[str] = []
    with ThreadPoolExecutor(9) as pool:
        with slot_taken(colony):
            futures = queue_up(colony, pool, "one", 3, order)
            job = colony.http.post(
                f"{colony.queen_url}/v1/jobs",
                json={"operation": "infer", "model": MODEL, "prompt": "x", "max_tokens": 2},
            ).json()
            eventually(lambda: waiting(colony) == 4, within=60)
        events = colony.http.get(f"{colony.queen_url}/v1/jobs/{job['job_id']}/stream", timeout=60).text
        for future in futures:
            future.result(60)
    told = [json.loads(line[5:]) for line in events.splitlines() if line.startswith("data: {")]
    places = [one["human"] for one in told if one.get("action") == "queue"]
    assert places
    assert "place" in places[0]


def test_a_queue_that_lasts_gets_another_worker_which_goes_when_it_is_over(make_colony):
    colony = make_colony(
        **{"worker.slots": "1", "hive.threads": "4", "queen.replica_wait_s": "0.5", "queen.replica_idle_s": "2"}
    )
    with sdk(colony) as client:
        client.chat.completions.create(model=MODEL, messages=user("x"), max_tokens=1)
    (first,) = colony.workers()
    order: list[str] = []
    with ThreadPoolExecutor(20) as pool:
        futures = [pool.submit(ask, colony, "one", order) for _ in range(16)]
        eventually(lambda: len(colony.workers()) > 1, within=30)
        for future in futures:
            future.result(60)
    eventually(lambda: [worker["worker_id"] for worker in colony.workers()] == [first["worker_id"]], within=30)
