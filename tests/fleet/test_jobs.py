"""Jobs over HTTP: streams that can be joined late and resumed, and work handed to the hive."""

import pytest

INFER = {"model": "echo:jobs", "prompt": "one two three"}


def test_an_infer_job_streams_narration_and_tokens_to_one_end(shared_colony):
    *events, (_, end) = shared_colony.events(shared_colony.submit("infer", **INFER))
    assert end == "[DONE]"
    assert [number for number, _ in events] == list(range(1, len(events) + 1))
    kinds = [event["type"] for _, event in events]
    assert kinds[-1] == "done"
    assert kinds.count("done") == 1
    tokens = [event["payload"]["t"] for _, event in events if event.get("action") == "token"]
    assert "".join(tokens) == "one two three"
    assert all(event["human"] for _, event in events if event["type"] == "narration")
    assert events[-2][1]["payload"]["stop_reason"] == "EOS"


def test_who_joins_late_sees_everything_and_who_resumes_sees_the_rest(shared_colony):
    job = shared_colony.submit("infer", **INFER)
    everything = list(shared_colony.events(job))
    assert list(shared_colony.events(job)) == everything
    assert list(shared_colony.events(job, after=2)) == everything[2:]


def test_a_running_job_can_be_joined_by_a_second_watcher(shared_colony):
    job = shared_colony.submit("infer", model="echo:jobs?delay_ms=30&tokens=20", prompt="a b c")
    first = shared_colony.events(job)
    seen = [next(first) for _ in range(3)]
    second = list(shared_colony.events(job))
    assert seen + list(first) == second


def test_a_job_that_is_over_is_cancelled_without_effect(shared_colony):
    job = shared_colony.submit("infer", **INFER)
    list(shared_colony.events(job))
    answer = shared_colony.http.delete(f"{shared_colony.queen_url}/v1/jobs/{job}")
    assert answer.json() == {"cancelling": False}


def test_an_unknown_job_is_not_found(shared_colony):
    for method, path in (("GET", "/v1/jobs/job-none/stream"), ("DELETE", "/v1/jobs/job-none")):
        answer = shared_colony.http.request(method, shared_colony.queen_url + path)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "NOT_FOUND"


def test_an_unknown_operation_is_refused_with_the_list_of_those_there_are(shared_colony):
    answer = shared_colony.http.post(f"{shared_colony.queen_url}/v1/jobs", json={"operation": "dance"})
    assert answer.status_code == 400
    assert "infer" in answer.json()["error"]["message"]


def test_a_model_is_downloaded_through_the_queen(shared_colony):
    done = shared_colony.run_job("model_download", model="demo")
    assert done["type"] == "done"
    assert done["result"]["model_id"] == "demo:rbee-tiny:Q8_0"
    assert done["result"]["path"].startswith(str(shared_colony.home))


def test_a_worker_is_spawned_and_deleted_through_the_queen(colony):
    spawned = colony.run_job("worker_spawn", model="echo:spawned", slots=2)["result"]
    worker = colony.worker("echo:spawned")
    assert (worker["worker_id"], worker["pid"]) == (spawned["worker_id"], spawned["pid"])
    assert colony.worker_info(worker)["slots_total"] == 2
    deleted = colony.run_job("worker_process_delete", worker_id=spawned["worker_id"])
    assert deleted["result"] == {"worker_id": spawned["worker_id"], "pid": spawned["pid"]}
    again = colony.run_job("worker_process_delete", worker_id=spawned["worker_id"])
    assert (again["type"], again["code"]) == ("error", "NOT_FOUND")


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [("demo:demi", "MODEL_NOT_FOUND", "'demo'"), ("echo:bad?fail=load", "MODEL_FILE_INVALID", "fail=load")],
)
def test_a_job_that_fails_says_why(shared_colony, model, code, words):
    failed = shared_colony.run_job("infer", model=model, prompt="x")
    assert (failed["type"], failed["code"]) == ("error", code)
    assert words in failed["message"]


def test_one_job_is_shown_with_how_it_ended(shared_colony):
    job = shared_colony.submit("model_download", model="demo")
    list(shared_colony.events(job))
    found = shared_colony.http.get(f"{shared_colony.queen_url}/v1/jobs/{job}").json()
    assert (found["job_id"], found["operation"], found["state"]) == (job, "model_download", "completed")
    assert found["request"]["model"] == "demo"
    assert found["created_at"] <= found["started_at"] <= found["finished_at"]
    assert found["result"]["model_id"] == "demo:rbee-tiny:Q8_0"
    missing = shared_colony.http.get(f"{shared_colony.queen_url}/v1/jobs/job-none")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "NOT_FOUND")


def test_jobs_are_listed_by_state_and_number(shared_colony):
    for _ in range(2):
        list(shared_colony.events(shared_colony.submit("status")))
    url = f"{shared_colony.queen_url}/v1/jobs"
    listed = shared_colony.http.get(url, params={"state": "finished", "limit": "1"}).json()["jobs"]
    assert len(listed) == 1
    assert {one["state"] for one in shared_colony.http.get(url, params={"state": "completed"}).json()["jobs"]} == {
        "completed"
    }
    for wrong in ({"state": "odd"}, {"limit": "0"}, {"limit": "x"}):
        answer = shared_colony.http.get(url, params=wrong)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), wrong


def test_a_wrong_field_is_refused_by_name_before_there_is_a_job(shared_colony):
    for fields, param in (({"speed": 1}, "speed"), ({"slots": 0}, "slots"), ({"device": []}, "device")):
        body = {"operation": "model_load", "model": "echo", **fields}
        answer = shared_colony.http.post(f"{shared_colony.queen_url}/v1/jobs", json=body)
        assert answer.status_code == 400
        assert f"{param!r}" in answer.json()["error"]["message"]


def test_a_request_that_is_sent_again_starts_nothing_twice(shared_colony):
    def submit(key):
        headers = {"idempotency-key": key}
        return shared_colony.http.post(
            f"{shared_colony.queen_url}/v1/jobs", json={"operation": "status"}, headers=headers
        )

    first, second, other = (submit(key).json()["job_id"] for key in ("k-1", "k-1", "k-2"))
    assert first == second != other
    assert submit("a b").status_code == 400


def test_the_checks_of_queen_and_hive_have_remedies(shared_colony):
    for operation in ("queen_check", "hive_check"):
        checks = shared_colony.run_job(operation)["result"]["checks"]
        assert len(checks) > 4
        assert all(one["remedy"] for one in checks if one["status"] != "ok")
        assert not [one for one in checks if one["status"] == "fail"]


def test_engines_are_listed_with_those_that_are_here(shared_colony):
    listed = shared_colony.run_job("worker_list_installed")["result"]
    assert listed["failed"] == {}
    (echo,) = [one for one in listed["workers"] if one["worker"] == "echo"]
    assert (echo["vendor"], echo["installed"], echo["available"], echo["formats"]) == ("python", True, True, ["echo"])
    refused = shared_colony.run_job("worker_remove", worker="no-such-engine")
    assert (refused["type"], refused["code"]) == ("error", "NOT_FOUND")


def test_an_engine_in_use_is_not_removed(colony):
    loaded = colony.run_job("model_load", model="echo:in-use")["result"]
    refused = colony.run_job("worker_remove", worker="echo")
    assert (refused["type"], refused["code"]) == ("error", "CONFLICT")
    assert loaded["worker_id"] in refused["message"]


def test_prompts_are_not_kept(shared_colony):
    secret = "zanzibar-marzipan-7719"
    job = shared_colony.submit("infer", model="echo:jobs", prompt=secret, max_tokens=1)
    list(shared_colony.events(job))
    listed = shared_colony.http.get(f"{shared_colony.queen_url}/v1/jobs").text
    assert job in listed
    assert secret not in listed
