"""What a real worker needs is seen, learned, kept over the queen's lives, and held before the next one takes it."""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fleet.conftest import PYTHON, user
from rbee.scheduler.wording import size
from rbee.testing.colony import eventually

MIB = 2**20
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps the peak of a process")


def ledger(colony):
    """All that the queen has learned."""
    return colony.http.get(f"{colony.queen_url}/v1/memory").json()["learned"]


def planned(colony, model="demo"):
    done = colony.cli("plan", model, "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["hives"]
    return row


def high_water_mark(pid):
    """The most that was resident of a process, in bytes, as the system keeps it."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def ask(colony, model):
    body = {"model": model, "messages": user(PYTHON[0]), "temperature": 0}
    return colony.http.post(f"{colony.openai_base_url}/chat/completions", json=body)


@ON_LINUX
def test_the_peak_of_a_worker_is_seen_and_the_next_one_is_promised_what_was_learned(colony):
    # Its figures are read where its files are.
    assert colony.cli("pull", "demo").returncode == 0
    before = planned(colony)
    assert [before[name] for name in ("reserve_bytes", "peak_bytes", "error_pct")] == [None, None, None]
    assert before["memory_bytes"] == before["estimate_bytes"]
    done = colony.run_job("worker_spawn", model="demo", worker_id="first")
    assert done["result"]["memory_bytes"] == before["memory_bytes"], "the hive promises what the queen has planned"
    assert ask(colony, "demo").json()["choices"][0]["message"]["content"] == PYTHON[1]
    peak = high_water_mark(colony.worker("demo")["pid"])

    def seen():
        found = ledger(colony)
        assert len(found) == 1
        (one,) = found
        assert one["peak_bytes"] >= (peak // MIB) * MIB
        return one

    learned = eventually(seen)
    assert (learned["model_id"], learned["engine"], learned["backend"]) == ("demo:rbee-tiny:Q8_0", "llamacpp", "cpu")
    assert learned["estimate_bytes"] == before["estimate_bytes"]
    after = planned(colony)
    assert (after["peak_bytes"], after["peak_hive_id"]) == (learned["peak_bytes"], learned["hive_id"])
    assert (after["peak_context_length"], after["peak_slots"]) == (after["context_length"], after["slots"])
    off = 100 * (before["estimate_bytes"] - learned["peak_bytes"]) / learned["peak_bytes"]
    assert after["error_pct"] == pytest.approx(off, abs=0.1)
    assert after["memory_bytes"] == after["estimate_bytes"] + after["reserve_bytes"]
    assert abs(after["memory_bytes"] - learned["peak_bytes"]) < abs(before["memory_bytes"] - learned["peak_bytes"])
    assert "as it did here before" in " ".join(after["reasons"])
    assert colony.run_job("worker_process_delete", worker_id="first")["type"] == "done"

    # A life that has ended says the last word; then the queen's own.
    eventually(lambda: not colony.workers())
    final = eventually(lambda: planned(colony))
    assert (colony.home / "memory.db").exists()
    assert colony.stop() == 0
    colony.start_up()
    row = eventually(lambda: planned(colony))
    assert (row["memory_bytes"], row["peak_bytes"]) == (final["memory_bytes"], final["peak_bytes"])
    done = colony.run_job("worker_spawn", model="demo", worker_id="second")
    assert done["result"]["memory_bytes"] == row["memory_bytes"] != before["memory_bytes"]


def test_a_limit_of_memory_refuses_a_start_with_the_numbers(make_colony):
    # A twentieth of the machine, less what others use of it, and more slots than that has room for.
    colony = make_colony(**{"hive.memory_share": "0.05", "worker.slots": "1024"})
    assert colony.cli("pull", "demo").returncode == 0
    row = planned(colony)
    assert row["fits"] is False
    refused = ask(colony, "demo")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_placement"), refused.text
    told = refused.json()["error"]["message"]
    assert f"it needs about {size(row['memory_bytes'])} and " in told
    assert "iB are free" in told
    asked = colony.run_job("worker_spawn", model="demo")
    assert (asked["type"], asked["code"]) == ("error", "VRAM_EXHAUSTED")
    assert f"needs about {size(row['memory_bytes'])} of CPU-0" in asked["message"]
    assert not colony.workers()


def test_a_start_under_way_holds_its_share_so_that_no_hive_is_asked_for_what_it_must_refuse(make_colony):
    colony = make_colony(**{"hive.threads": "1"})
    together = threading.Barrier(2)

    def at_once(name):
        together.wait()
        return ask(colony, name)

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(at_once, ("echo:one", "echo:two")), key=lambda answer: answer.status_code)
    first, second = answers
    assert first.status_code == 200
    # By then the first one has answered, and makes room, or is about to answer.
    assert second.status_code in {200, 503}, second.text
    assert second.status_code == 200 or "threads are taken by workers that are busy" in second.text
    jobs = colony.http.get(f"{colony.hive_url}/v1/jobs").json()["jobs"]
    assert {job["state"] for job in jobs} == {"completed"}, jobs
