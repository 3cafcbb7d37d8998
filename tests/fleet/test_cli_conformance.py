"""`rbee conformance worker`: a real worker, its engine a plugin, keeps the contract."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx2
import msgspec
import pytest
from fleet.conftest import one_line
from jsonschema_rs import Draft202012Validator

WRITTEN = Path(__file__).parents[2] / "docs" / "reference" / "worker-api.yaml"


@pytest.fixture(scope="module")
def worker(shared_colony):
    """Address of a worker that nobody else asks."""
    spawned = json.loads(shared_colony.cli("worker", "spawn", "echo:alone", "--json").stdout)
    yield spawned["url"]
    shared_colony.cli("worker", "stop", spawned["worker_id"])


def test_a_worker_of_ours_keeps_every_promise_that_applies(shared_colony, worker, tmp_path):
    junit = tmp_path / "report.xml"
    done = shared_colony.cli("conformance", "worker", worker, "--json", "--junit", str(junit))
    report = json.loads(done.stdout)
    assert [one for one in report["checks"] if one["verdict"] == "broken"] == []
    assert done.returncode == 0
    assert report["kept"] >= 45
    assert report["contract_version"] == "0.3"
    suite = ET.parse(junit).getroot()
    assert (int(suite.get("tests")), suite.get("failures")) == (len(report["checks"]), "0")


def test_one_promise_can_be_asked_for_and_is_shown_as_a_table(shared_colony, worker):
    done = shared_colony.cli("conformance", "worker", worker, "--only", "W-HEALTH-1")
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["ID", "RESULT"])
    assert "W-HEALTH-1" in done.stdout
    assert "1 kept, 0 broken" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("http://127.0.0.1:9",), 1, "No worker answers at http://127.0.0.1:9"),
        (("nonsense",), 2, "is no worker's address"),
        (("http://127.0.0.1:9", "--only", "W-NONE-1"), 2, "there is no check 'W-NONE-1'"),
    ],
)
def test_what_cannot_be_is_one_line(shared_colony, arguments, code, told):
    done = shared_colony.cli("conformance", "worker", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in one_line(done.stderr)


def test_answers_are_as_the_written_contract_says(shared_colony, worker):
    made = msgspec.yaml.decode(WRITTEN.read_bytes())
    headers = {"Authorization": f"Bearer {shared_colony.token}"}
    user = [{"role": "user", "content": "one two"}]
    asked = [
        ("get", "/health", None, 200),
        ("get", "/ready", None, 200),
        ("get", "/info", None, 200),
        ("get", "/capabilities", None, 200),
        ("get", "/v1/models", None, 200),
        ("post", "/v1/infer", {"prompt": "one two", "stream": False}, 200),
        ("post", "/v1/chat/completions", {"messages": user}, 200),
        ("post", "/v1/completions", {"prompt": "one two"}, 200),
        ("post", "/v1/drain", None, 200),
        ("post", "/v1/infer", {"prompt": "one two", "stream": False}, 503),
        ("delete", "/v1/drain", None, 200),
        ("post", "/v1/infer", {}, 400),
        ("post", "/v1/chat/completions", {"messages": []}, 400),
    ]
    with httpx2.Client(base_url=worker, headers=headers, timeout=20) as client:
        for method, path, body, status in asked:
            answer = client.request(method, path, json=body)
            assert answer.status_code == status, (path, answer.text)
            responses = made["paths"][path][method]["responses"]
            response = responses.get(str(status)) or responses[f"{status // 100}XX"]
            schema = response["content"]["application/json"]["schema"]
            Draft202012Validator({**schema, "components": made["components"]}).validate(answer.json())
