"""Jobs over a crash of the program: what can go on goes on, under the same id; what cannot says so."""

import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest
from rbee.catalog.provisioner import folder_name
from rbee.testing.colony import eventually

PLUGINS = Path(__file__).parent / "plugins_for_tests"


@pytest.fixture
def slow_vendor(tmp_path):
    """The folder of an installed plugin, for PYTHONPATH."""
    folder = tmp_path / "site"
    info = folder / "slow_vendor-1.0.dist-info"
    info.mkdir(parents=True)
    shutil.copy(PLUGINS / "slow_vendor.py", folder)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-vendor\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rbee]\nslowly = slow_vendor\n")
    return folder


def told(colony, job, wanted):
    """Read a job's events until one is as wanted; returns those with a number."""
    seen = []
    for number, event in colony.events(job):
        if number is None:
            break
        seen.append((number, event))
        if wanted(event):
            return seen
    raise AssertionError(f"not told; the last was {seen[-1:]}")


def detail(colony, job):
    return colony.http.get(f"{colony.queen_url}/v1/jobs/{job}").raise_for_status().json()


def test_a_load_goes_on_after_a_crash_of_the_whole_colony(colony):
    job = colony.submit("model_load", model="echo:again?load_s=4")
    before = told(colony, job, lambda event: event.get("action") == "load")
    colony.kill9()
    colony.start_up()
    *after, (_, end) = colony.events(job, after=before[-1][0])
    assert end == "[DONE]"
    assert [event.get("action") for _, event in after].count("resumed") == 1
    numbers = [number for number, _ in [*before, *after]]
    assert numbers == sorted(set(numbers)), "who had seen some misses none and sees none twice"
    state = detail(colony, job)
    assert (state["state"], state["resumed"]) == ("completed", 1)
    (worker,) = colony.run_job("worker_process_list")["result"]["workers"]
    assert (worker["worker_id"], worker["state"]) == (state["result"]["worker_id"], "ready")


def test_a_download_goes_on_where_it_was(make_colony, slow_vendor):
    colony = make_colony(environment={"PYTHONPATH": str(slow_vendor)})
    part = colony.home / "data" / "models" / ".parts" / folder_name("slowly:model") / "model.bin"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 320_000)
    job = colony.submit("model_download", model="slowly:model")
    progress = told(colony, job, lambda event: event["type"] == "progress" and event["done"] > 330_000)[-1][1]
    assert {"rate", "eta_s", "total"} <= set(progress)
    assert detail(colony, job)["progress"]["done"] >= progress["done"]
    colony.kill9()
    kept = part.stat().st_size
    colony.start_up()
    *events, (_, end) = colony.events(job)
    assert end == "[DONE]"
    resumed = next(at for at, (_, event) in enumerate(events) if event.get("action") == "resumed")
    assert all(event["done"] > kept - 10_000 for _, event in events[resumed:] if event["type"] == "progress")
    assert detail(colony, job)["result"]["size_bytes"] == 400_000


def test_what_cannot_be_done_twice_fails_with_the_reason(colony):
    job = colony.submit("infer", model="echo:slow?delay_ms=200&tokens=500", prompt="a b c")
    told(colony, job, lambda event: event.get("action") == "token")
    colony.kill9()
    colony.start_up()
    *_, (_, last), (_, end) = colony.events(job)
    assert (last["type"], last["code"]) == ("error", "UNAVAILABLE")
    assert "cut off when the program stopped" in end
    assert detail(colony, job)["request"] == {"operation": "infer", "model": "echo:slow?delay_ms=200&tokens=500"}


def test_a_stop_in_order_ends_its_jobs(colony):
    job = colony.submit("model_load", model="echo:ended?load_s=30")
    told(colony, job, lambda event: event.get("action") == "load")
    colony.stop()
    colony.start_up()
    assert detail(colony, job)["state"] == "cancelled"
    assert colony.run_job("worker_process_list")["result"]["workers"] == []


def test_cancelling_a_load_ends_its_process(colony):
    job = colony.submit("model_load", model="echo:dropped?load_s=60")
    told(colony, job, lambda event: event.get("action") == "load")
    (worker,) = colony.run_job("worker_process_list")["result"]["workers"]
    assert worker["state"] in {"starting", "loading"}
    colony.http.delete(f"{colony.queen_url}/v1/jobs/{job}").raise_for_status()
    assert list(colony.events(job))[-1][1] == "[CANCELLED]"
    eventually(lambda: not psutil.pid_exists(worker["pid"]))
    assert colony.run_job("worker_process_list")["result"]["workers"] == []


def test_cancelling_a_download_ends_the_fetch(make_colony, slow_vendor):
    colony = make_colony(environment={"PYTHONPATH": str(slow_vendor)})
    job = colony.submit("model_download", model="slowly:model")
    told(colony, job, lambda event: event["type"] == "progress")
    (model,) = colony.run_job("model_list")["result"]["models"]
    assert (model["model_id"], model["state"]) == ("slowly:model", "downloading")
    refused = colony.run_job("model_delete", model="slowly:model")
    assert (refused["type"], refused["code"]) == ("error", "CONFLICT")
    colony.http.delete(f"{colony.queen_url}/v1/jobs/{job}").raise_for_status()
    assert list(colony.events(job))[-1][1] == "[CANCELLED]"
    (model,) = eventually(lambda: [one for one in colony.run_job("model_list")["result"]["models"] if one["error"]])
    assert (model["state"], model["path"]) == ("failed", None)
    assert colony.run_job("model_delete", model="slowly:model")["result"]["deleted"], "parts that were left"


def test_one_id_finds_the_job_of_the_queen_and_that_of_the_hive(colony):
    answer = colony.http.post(
        f"{colony.queen_url}/v1/jobs", json={"operation": "model_list"}, headers={"x-request-id": "ticket-7"}
    )
    list(colony.events(answer.json()["job_id"]))
    for url in (colony.queen_url, colony.hive_url):
        (found,) = colony.http.get(f"{url}/v1/jobs").json()["jobs"]
        assert (found["operation"], found["correlation_id"]) == ("model_list", "ticket-7")


def test_a_worker_killed_while_a_job_waits_for_it_fails_the_job(colony):
    job = colony.submit("model_load", model="echo:shot?load_s=60")
    told(colony, job, lambda event: event.get("action") == "load")
    (worker,) = colony.run_job("worker_process_list")["result"]["workers"]
    os.kill(worker["pid"], signal.SIGKILL)
    *_, (_, last), _ = colony.events(job)
    assert (last["type"], last["code"]) == ("error", "WORKER_FAILED")


class TestQueenApart:
    """A queen and two hives, each a program of its own."""

    @pytest.fixture
    def site(self, make_site):
        site = make_site()
        for program in (site.registry, site.queen, site.hive("a"), site.hive("b")):
            program.launch()
        for program in site.programs:
            program.await_ready()
        eventually(lambda: all(one["engines"] for one in site.hives().values()) and len(site.hives()) == 2, 20)
        return site

    def hive_jobs(self, site, operation):
        (url,) = [one["url"] for hive_id, one in site.hives().items() if hive_id == self.first(site)]
        jobs = site.http.get(f"{url}/v1/jobs").json()["jobs"]
        return [job for job in jobs if job["operation"] == operation]

    def first(self, site):
        return min(site.hives())

    def test_a_job_goes_to_the_hive_that_is_named(self, site):
        for hive_id in site.hives():
            loaded = site.run_job("model_load", model="echo:here", hive_id=hive_id)
            assert not loaded["result"]["already"], "each hive has a worker of its own"
            listed = site.run_job("worker_process_list", hive_id=hive_id)["result"]["workers"]
            assert [one["worker_id"] for one in listed] == [loaded["result"]["worker_id"]]
        assert site.run_job("model_list")["code"] == "UNAVAILABLE", "which one is not said"
        unknown = site.run_job("model_list", hive_id="nowhere")
        assert (unknown["code"], "nowhere" in unknown["message"]) == ("NOT_FOUND", True)

    def test_a_queen_that_comes_back_follows_what_the_hive_went_on_doing(self, site):
        job = site.submit("model_load", model="echo:kept?load_s=3", hive_id=self.first(site))
        told(site, job, lambda event: event.get("action") == "load")
        site.queen.kill9()
        site.queen.start()
        *_, (_, end) = site.events(job)
        assert end == "[DONE]"
        assert detail(site, job)["resumed"] == 1
        assert len(self.hive_jobs(site, "model_load")) == 1, "nothing was begun twice"

    def test_a_job_that_was_resumed_can_be_cancelled(self, site):
        job = site.submit("worker_spawn", model="echo:dropped?load_s=60", hive_id=self.first(site))
        told(site, job, lambda event: event.get("action") == "load")
        site.queen.kill9()
        site.queen.start()
        told(site, job, lambda event: event.get("action") == "reached")
        site.http.delete(f"{site.queen_url}/v1/jobs/{job}").raise_for_status()
        assert list(site.events(job))[-1][1] == "[CANCELLED]"

        def ended():
            return [one["state"] for one in self.hive_jobs(site, "worker_spawn")] == ["cancelled"]

        eventually(ended)

    def test_the_check_of_the_queen_names_a_hive_that_is_gone(self, site):
        gone = self.first(site)
        (program,) = [one for one in site.programs if one.kind == "hive" and one.url == site.hives()[gone]["url"]]
        program.kill9()

        def failing():
            checks = {one["name"]: one for one in site.run_job("queen_check")["result"]["checks"]}
            return checks.get(f"hive {gone}", {}).get("status") == "fail" and checks[f"hive {gone}"]["remedy"]

        eventually(failing, 20)
