"""Two keys share the slots of one worker, and who waits hears where he is."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
from fleet.conftest import sdk, user
from rbee.testing.colony import eventually

MODEL = "echo:slow?tokens=3"


def ask(colony, key, order, **headers):
    """One whole answer; notes in `order` whose it was when it has come."""
    answer = httpx2.post(
        f"{colony.queen_url}/v1/chat/completions",
        json={"model": MODEL, "messages": user("x"), "max_tokens": 3},
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


def queue_up(colony, pool, key, count, order, **headers):
    """Send requests and return once all but the one that is served wait."""
    before = waiting(colony)
    futures = [pool.submit(ask, colony, key, order, **headers) for _ in range(count)]
    while waiting(colony) < before + count - 1:  # the queue tells of itself in its metrics alone
        threading.Event().wait(0.01)
    return futures


def warm(colony):
    with sdk(colony) as client:
        client.chat.completions.create(model=MODEL, messages=user("x"), max_tokens=1)


def test_a_polite_key_is_not_behind_all_that_an_aggressive_one_has_queued_up(make_colony):
    colony = make_colony(**{"worker.slots": "1"})
    warm(colony)
    order: list[str] = []
    with ThreadPoolExecutor(20) as pool:
        futures = queue_up(colony, pool, "aggressive", 12, order)
        polite = pool.submit(ask, colony, "polite", order)
        answer = polite.result(60)
        served_before = order.index("polite")
        for future in futures:
            future.result(60)
    assert served_before <= 4
    assert int(answer.headers["x-rbee-queue-position"]) <= 2

    # Batch requests wait for interactive ones of the same key.
    order.clear()
    with ThreadPoolExecutor(20) as pool:
        batch = queue_up(colony, pool, "batch", 8, order, **{"X-RBEE-Priority": "batch"})
        chat = [pool.submit(ask, colony, "chat", order) for _ in range(3)]
        for future in [*batch, *chat]:
            future.result(60)
    assert order[-4:] == ["batch"] * 4
    assert {"chat"} < set(order[:6])


def test_a_stream_that_waits_hears_its_place_and_how_long_it_may_take(make_colony):
    colony = make_colony(**{"worker.slots": "1"})
    warm(colony)
    order: list[str] = []
    with ThreadPoolExecutor(9) as pool:
        futures = queue_up(colony, pool, "one", 4, order)
        job = colony.http.post(
            f"{colony.queen_url}/v1/jobs",
            json={"operation": "infer", "model": MODEL, "prompt": "x", "max_tokens": 3},
        ).json()
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
    warm(colony)
    (first,) = colony.workers()
    order: list[str] = []
    with ThreadPoolExecutor(20) as pool:
        futures = [pool.submit(ask, colony, "one", order) for _ in range(16)]
        eventually(lambda: len(colony.workers()) > 1, within=30)
        for future in futures:
            future.result(60)
    eventually(lambda: [worker["worker_id"] for worker in colony.workers()] == [first["worker_id"]], within=30)
