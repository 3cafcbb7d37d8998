"""`rbee explain` and `rbee replay`: why a request went where it went, of a real colony."""

import json
import os

import pytest
from fleet.conftest import one_line, sdk, user


def ask(colony, request_id, model="echo:why", **headers):
    with sdk(colony) as client:
        answer = client.chat.completions.create(
            model=model, messages=user("hello"), extra_headers={"X-Request-Id": request_id, **headers}
        )
        assert answer.choices[0].message.content == "hello"


@pytest.fixture(scope="module")
def asked(shared_colony):
    """A colony in which a model was loaded on demand, and asked again by a session among two workers."""
    ask(shared_colony, "first")
    spawned = shared_colony.cli("worker", "spawn", "echo:why")
    assert spawned.returncode == 0, spawned.stderr
    for name in ("second", "third"):
        ask(shared_colony, name, **{"X-Session-Id": "mine"})
    return shared_colony


def explained(colony, request_id):
    done = colony.cli("explain", request_id, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["decisions"]


def test_a_load_on_demand_is_explained_from_the_hive_to_the_worker(asked):
    decisions = explained(asked, "first")
    assert decisions[0]["decided"] == "start"
    assert [one["verdict"] for one in decisions[0]["hives"]] == ["chosen"]
    assert decisions[0]["hives"][0]["age_s"] < 10
    assert decisions[-1]["decided"] == "use"
    (worker,) = decisions[-1]["workers"]
    assert (worker["verdict"], worker["worker_id"]) == ("chosen", decisions[-1]["worker_id"])


def test_a_session_stays_and_its_score_says_why(asked):
    (second,), (third,) = explained(asked, "second"), explained(asked, "third")
    assert second["worker_id"] == third["worker_id"]
    scores = {one["verdict"]: one["scores"] for one in third["workers"]}
    assert scores["chosen"]["sticky"] < 1 == scores["free"]["sticky"]
    assert scores["chosen"]["expected_s"] < scores["free"]["expected_s"]


def test_for_a_person_it_is_a_table_and_the_latest_are_listed(asked):
    told = asked.cli("explain", "third").stdout
    assert "third asked for echo:why" in told
    assert "by policy 'balanced'" in told
    listed = asked.cli("explain", "--limit", "2").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["REQUEST", "third", "second"]


def test_recorded_decisions_are_made_again_by_another_policy(asked, tmp_path):
    file = tmp_path / "decisions.jsonl"
    assert asked.cli("explain", "--save", str(file)).returncode == 0
    same = json.loads(asked.cli("replay", str(file), "--policy", "balanced", "--json").stdout)
    assert (same["changed"], same["decisions"]) == (0, len(file.read_text().splitlines()))
    other = json.loads(asked.cli("replay", str(file), "--policy", "round-robin", "--json").stdout)
    assert "third" in {one["request_id"] for one in other["changes"]}
    told = asked.cli("replay", str(file), "--policy", "round-robin")
    assert "would come out otherwise by policy 'round-robin'" in told.stderr
    assert "hello" not in file.read_text()


def test_an_infer_job_is_explained_too(asked):
    done = asked.cli("infer", "echo:why", "hello", "--json")
    assert done.returncode == 0, done.stderr
    newest = json.loads(asked.cli("explain", "--limit", "1", "--json").stdout)["decisions"][0]
    assert (newest["model"], newest["decided"]) == ("echo:why", "use")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("explain", "nobody"), 1, "No decision about request 'nobody' is known"),
        (("explain", ""), 2, "it is empty"),
        (("explain", "--save", "/nowhere/x"), 1, "cannot be written"),
        (("explain", "--save", ""), 2, "it is empty"),
        (("replay", "/nowhere", "--policy", "seed"), 1, "There is no file '/nowhere'"),
        (("replay", __file__, "--policy", "seed"), 1, "line 1 is no recorded decision"),
        (("replay", __file__, "--policy", "luck"), 1, "No plugin brings the policy 'luck'"),
        (("replay", "/", "--policy", "seed"), 1, "cannot be read"),
        (("replay", "", "--policy", "seed"), 2, "it is empty"),
        (("replay", os.devnull, "--policy", "seed"), 1, "holds no decisions"),
    ],
)
def test_what_cannot_be_is_one_line(asked, arguments, code, told):
    done = asked.cli(*arguments)
    assert done.returncode == code
    assert told in one_line(done.stderr)


def test_why_is_told_to_nobody_without_the_token(asked):
    assert asked.http.get(f"{asked.queen_url}/v1/explain", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_header_without_meaning_is_refused(asked):
    answer = asked.http.post(
        f"{asked.queen_url}/v1/chat/completions",
        json={"model": "echo:why", "messages": user("x")},
        headers={"X-RBEE-Priority": "urgent"},
    )
    assert answer.status_code == 400
    assert "X-RBEE-Priority 'urgent'" in answer.json()["error"]["message"]
