"""What a hive's workers may use, over starts, ends and lives of the hive: never more than the machine has."""

import json

import psutil
from rbee.testing.colony import eventually

CORES = 4
IDS = ("one", "two", "three")


def given(colony):
    """Threads by worker, as their processes were told, seen from outside."""
    found = {}
    for process in colony.processes():
        marks = process.environ()
        if f"--worker-id={marks.get('RBEE_WORKER_ID')}" in process.cmdline():
            found[marks["RBEE_WORKER_ID"]] = int(marks["RBEE_WORKER_THREADS"])
            assert marks["OMP_NUM_THREADS"] == marks["RBEE_WORKER_THREADS"]
    return found


def spawn(colony, worker_id, model="echo"):
    return colony.run_job("worker_spawn", model=f"{model}:{worker_id}", worker_id=worker_id)


def hive(colony):
    (found,) = colony.http.get(f"{colony.queen_url}/v1/info").json()["hives"]
    return found


def told(colony):
    """The hive's own word."""
    return colony.http.get(f"{colony.hive_url}/v1/capabilities").json()["hive"]


def test_the_threads_of_all_workers_stay_within_the_cores_over_lives_of_the_hive(colony):
    granted = {}
    for worker_id in IDS:
        done = spawn(colony, worker_id)
        assert done["type"] == "done", done
        granted[worker_id] = done["result"]["threads"]
        assert sum(given(colony).values()) <= CORES
    assert given(colony) == granted == {"one": 2, "two": 1, "three": 1}
    refused = spawn(colony, "four")
    assert (refused["type"], refused["code"]) == ("error", "NO_PLACEMENT")
    assert "hive.threads" in refused["message"]

    colony.kill9()
    colony.start_up()

    def adopted():
        now = told(colony)
        assert (now["threads_total"], now["threads_free"], now["threads_granted"]) == (CORES, 0, CORES)
        listed = {one["worker_id"]: one["threads"] for one in colony.workers() if one["routable"]}
        assert listed == granted
        return True

    eventually(adopted, 20)
    refused = spawn(colony, "four")
    assert refused["type"] == "error", "the next life of the hive knows what those of the earlier one have"
    assert colony.run_job("worker_process_delete", worker_id="one")["type"] == "done"
    done = spawn(colony, "four")
    assert done["result"]["threads"] == 1
    assert sum(given(colony).values()) == 3
    eventually(lambda: hive(colony)["threads_free"] == 1)


def test_a_worker_beyond_the_cores_gets_one_thread_and_it_is_said(make_colony):
    # `none`: as many as there are cores, and the first worker is to have them all.
    colony = make_colony(**{"hive.threads": "none", "hive.worker_threads": "4096"})
    cores = told(colony)["threads_total"]
    said, shares = [], []
    for worker_id in IDS[:2]:
        job = colony.submit("worker_spawn", model=f"echo:{worker_id}", worker_id=worker_id)
        events = [event for stamp, event in colony.events(job) if stamp is not None]
        said.append([event["human"] for event in events if event["type"] == "narration"][-1])
        shares += [event["payload"]["threads"] for event in events if event.get("action") == "result"]
    assert shares == [cores, 1]
    sharing = f"workers here have {cores + 1} threads on {cores} core"
    assert [sharing in text for text in said] == [False, True]
    status = colony.cli("status").stdout
    assert f"workers have {cores + 1} threads on {cores} cores and share them" in status
    now = told(colony)
    assert (now["threads_free"], now["threads_granted"]) == (0, cores + 1)


def test_memory_is_promised_before_the_start_kept_over_lives_and_given_back(colony):
    done = colony.run_job("worker_spawn", model="demo", worker_id="small")
    assert done["type"] == "done", done
    promised = done["result"]["memory_bytes"]
    assert promised > 2**20
    process = psutil.Process(colony.worker("demo")["pid"])
    assert f"--memory-bytes={promised}" in process.cmdline()
    (device,) = [one for one in told(colony)["memory"] if one["device"] == "CPU-0"]
    assert device["granted_bytes"] == promised
    assert device["free_bytes"] <= device["total_bytes"] - promised
    (listed,) = json.loads(colony.cli("worker", "ls", "--json").stdout)["workers"]
    assert (listed["threads"], listed["memory_granted_mb"]) == (2, promised >> 20)

    colony.kill9()
    colony.start_up()
    eventually(lambda: told(colony)["memory"][0]["granted_bytes"] == promised, 20)
    assert colony.run_job("worker_process_delete", worker_id="small")["type"] == "done"
    assert told(colony)["memory"][0]["granted_bytes"] == 0


def test_what_does_not_fit_is_refused_with_figures_before_a_process_is_started(make_colony):
    colony = make_colony(**{"hive.worker_memory_max_mb": "8"})
    refused = colony.run_job("worker_spawn", model="demo", worker_id="large")
    assert (refused["type"], refused["code"]) == ("error", "VRAM_EXHAUSTED")
    assert "a worker may use 8.0 MiB here" in refused["message"]
    assert given(colony) == {}
    assert not (colony.home / "state" / "logs" / "large.log").exists()
    now = told(colony)
    assert (now["threads_free"], now["memory"][0]["granted_bytes"]) == (CORES, 0)
