"""Who is where, and what they use: the registry's leases, the hive's telemetry, the queen's record."""

import datetime as dt
import json

import psutil
import pytest
from rbee.testing.colony import eventually


@pytest.fixture
def worker(shared_colony):
    shared_colony.run_job("infer", model="echo:seen", prompt="hello")
    return shared_colony.worker("echo:seen")


def components(colony):
    found = colony.http.get(f"{colony.registry_url}/v1/registry/components").raise_for_status().json()
    return {(one["component_type"], one["component_id"]): one for one in found["components"]}


def test_the_registry_lists_queen_hive_and_worker_with_living_leases(shared_colony, worker):
    key = ("worker", worker["worker_id"])
    listed = eventually(lambda: key in components(shared_colony) and components(shared_colony))
    assert listed[key]["url"] == worker["url"]
    assert listed["queen", "queen"]["url"] == shared_colony.queen_url
    assert listed["hive", worker["hive_id"]]["url"] == shared_colony.hive_url
    assert all(one["online"] and one["last_seen"] for one in listed.values())


def test_a_worker_that_is_stopped_leaves_queen_and_registry_at_once(colony):
    worker_id = colony.run_job("worker_spawn", model="echo:leaving")["result"]["worker_id"]
    eventually(lambda: ("worker", worker_id) in components(colony))
    pid = colony.worker("echo:leaving")["pid"]
    assert colony.run_job("worker_process_delete", worker_id=worker_id)["type"] == "done"
    assert not psutil.pid_exists(pid)
    assert worker_id not in {one["worker_id"] for one in colony.workers()}
    assert ("worker", worker_id) not in components(colony)


def ticks(colony, url, kind, count):
    with colony.http.stream("GET", f"{url}/v1/heartbeats/stream") as answer:
        found = []
        for line in answer.iter_lines():
            if line.startswith("data:"):
                told = json.loads(line[5:])
                if told["type"] == kind:
                    found.append(told)
                    if len(found) == count:
                        return found
    raise AssertionError(f"the stream ended after {found}")


def test_the_hive_measures_its_workers_every_second(shared_colony, worker):
    told = ticks(shared_colony, shared_colony.hive_url, "telemetry", 4)
    times = [dt.datetime.fromisoformat(one["timestamp"]) for one in told]
    assert 1.5 <= (times[-1] - times[0]).total_seconds() <= 6
    for one in told:
        (mine,) = [process for process in one["workers"] if process["worker_id"] == worker["worker_id"]]
        assert mine["pid"] == worker["pid"]
        assert 10 < mine["rss_mb"] < 2000
        assert mine["vram_mb"] is None, "unknown is null, not 0"
    assert told[-1]["node"]["ram_total_mb"] > 0


def test_the_queen_passes_the_telemetry_on(shared_colony, worker):
    (told,) = ticks(shared_colony, shared_colony.queen_url, "hive_telemetry", 1)
    assert worker["worker_id"] in {process["worker_id"] for process in told["workers"]}


def test_the_queens_record_of_a_worker_is_merged_from_all_sources(shared_colony, worker):
    def complete():
        found = shared_colony.worker("echo:seen")
        assert found["rss_mb"]
        return found

    found = eventually(complete)
    assert found["presence"] == "online"
    assert found["spawned_by"] == f"hive-{found['hive_id']}"
    assert found["implementation"] == "echo"
    assert (found["slots_total"], found["slots_available"]) == (4, 4)
