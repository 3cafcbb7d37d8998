"""The security baseline over real HTTP."""

import contextlib
import stat

import httpx2
import psutil
import pytest
from fleet.conftest import user

CHAT = {"model": "echo", "messages": user("hello")}
CONTROL = [
    ("GET", "{queen}/v1/workers/list"),
    ("GET", "{queen}/v1/info"),
    ("POST", "{queen}/v1/jobs"),
    ("POST", "{queen}/v1/shutdown"),
    ("POST", "{queen}/v1/queen/register-worker"),
    ("GET", "{queen}/v1/heartbeats/stream"),
    ("GET", "{hive}/v1/capabilities"),
    ("POST", "{hive}/v1/shutdown"),
    ("POST", "{hive}/v1/jobs"),
    ("GET", "{registry}/v1/registry/components"),
    ("POST", "{registry}/v1/registry/register"),
    ("GET", "{worker}/info"),
    ("POST", "{worker}/v1/shutdown"),
]


@pytest.fixture
def stranger():
    """A client without the token."""
    with httpx2.Client(trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def worker(shared_colony):
    shared_colony.run_job("infer", model="echo", prompt="hello")
    return shared_colony.worker("echo")


@pytest.mark.parametrize("token", [None, "wrong-wrong-wrong-wrong"], ids=["without token", "with a wrong one"])
def test_control_routes_of_all_programs_need_the_token(shared_colony, worker, stranger, token):
    urls = {
        "queen": shared_colony.queen_url,
        "hive": shared_colony.hive_url,
        "registry": shared_colony.registry_url,
        "worker": worker["url"],
    }
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    for method, template in CONTROL:
        answer = stranger.request(
            method, template.format(**urls), headers=headers, json={} if method == "POST" else None
        )
        assert answer.status_code == 401, template
        assert answer.json()["error"]["code"] == "INVALID_API_KEY"
        assert "bearer" in answer.headers["www-authenticate"].lower()
    assert shared_colony.http.get(f"{shared_colony.queen_url}/health").json()["status"] == "ok", "nobody shut it down"


def test_the_token_is_taken_as_x_api_key_too(shared_colony, stranger):
    answer = stranger.get(f"{shared_colony.queen_url}/v1/info", headers={"x-api-key": shared_colony.token})
    assert answer.status_code == 200


def test_inference_and_health_on_loopback_need_no_token(shared_colony, stranger):
    assert stranger.post(f"{shared_colony.openai_base_url}/chat/completions", json=CHAT).status_code == 200
    assert stranger.get(f"{shared_colony.openai_base_url}/models").status_code == 200
    for url in (shared_colony.queen_url, shared_colony.hive_url, shared_colony.registry_url):
        assert stranger.get(f"{url}/health").status_code == 200


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"origin": "http://evil.example"}, {"origin": "null"}])
def test_a_foreign_host_or_origin_is_refused_whatever_else_is_right(shared_colony, worker, headers):
    for url in (
        f"{shared_colony.openai_base_url}/chat/completions",
        f"{shared_colony.queen_url}/v1/jobs",
        f"{shared_colony.hive_url}/v1/jobs",
        f"{worker['url']}/v1/chat/completions",
    ):
        answer = shared_colony.http.post(url, json=CHAT, headers=headers)
        assert answer.status_code == 403, url
    assert shared_colony.http.get(f"{shared_colony.queen_url}/health", headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"not json", None),
        (b"", None),
        (b"[]", None),
        (b'{"messages": []}', "model"),
        (b'{"model": 7}', "model"),
        (b"\xff\xfe", None),
    ],
    ids=["no JSON", "empty", "a list", "without model", "model is a number", "no text"],
)
def test_a_bad_body_is_a_bad_request_in_openais_words(shared_colony, stranger, body, param):
    answer = stranger.post(
        f"{shared_colony.openai_base_url}/chat/completions", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["message"]


def test_a_body_beyond_the_limit_is_refused(shared_colony, stranger):
    url = f"{shared_colony.openai_base_url}/chat/completions"
    answer = stranger.post(url, content=b" " * (33 * 1024 * 1024))
    assert answer.status_code == 413

    def chunks():
        for _ in range(33):
            yield b" " * (1024 * 1024)

    # Without a length in its head it is refused as soon as it has become too long.
    with contextlib.suppress(httpx2.WriteError):  # refused while it was still being sent
        assert stranger.post(url, content=chunks()).status_code == 413
    assert stranger.get(f"{shared_colony.queen_url}/health").status_code == 200


def test_a_control_body_beyond_the_limit_is_refused(shared_colony):
    answer = shared_colony.http.post(f"{shared_colony.queen_url}/v1/jobs", content=b" " * (5 * 1024 * 1024))
    assert answer.status_code == 413


def test_the_token_is_for_its_owner_alone(shared_colony):
    assert stat.S_IMODE(shared_colony.token_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(shared_colony.home.stat().st_mode) == 0o700
    for log in shared_colony.home.glob("state/logs/*.log"):
        assert stat.S_IMODE(log.stat().st_mode) == 0o600, log


def test_the_engine_refuses_who_has_not_its_key(shared_colony, stranger):
    shared_colony.run_job("infer", model="demo", prompt="hello", max_tokens=1)
    worker = shared_colony.worker("demo")
    own = int(worker["url"].rpartition(":")[2])
    listening = [one.laddr for one in psutil.Process(worker["pid"]).net_connections("tcp") if one.status == "LISTEN"]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    (engine,) = {address.port for address in listening} - {own}
    for headers in ({}, {"authorization": f"Bearer {shared_colony.token}"}):
        answer = stranger.post(f"http://127.0.0.1:{engine}/v1/chat/completions", json=CHAT, headers=headers)
        assert answer.status_code == 401


def test_beyond_loopback_inference_needs_the_token_too(make_colony, stranger):
    colony = make_colony(**{"server.host": "0.0.0.0"})
    port = colony.queen_url.rpartition(":")[2]
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    assert stranger.post(url, json=CHAT).status_code == 401
    assert stranger.get(f"http://127.0.0.1:{port}/v1/models").status_code == 401
    assert stranger.get(f"http://127.0.0.1:{port}/health").status_code == 200
    assert colony.http.post(url, json=CHAT).status_code == 200
    worker_url = colony.worker("echo")["url"]
    assert worker_url.startswith("https://")
    # Whoever shows nothing is not asked whom he trusts.
    refused = httpx2.post(f"{worker_url}/v1/chat/completions", json=CHAT, verify=False, trust_env=False)
    assert refused.status_code == 401


def test_a_setting_asks_for_the_token_on_loopback_too(make_colony, stranger):
    colony = make_colony(**{"server.require_token": "true"})
    assert stranger.post(f"{colony.openai_base_url}/chat/completions", json=CHAT).status_code == 401
    assert colony.http.post(f"{colony.openai_base_url}/chat/completions", json=CHAT).status_code == 200
    url = colony.worker("echo")["url"]
    assert stranger.post(f"{url}/v1/chat/completions", json=CHAT).status_code == 401


def test_the_token_stands_in_no_log_and_no_data_base(make_colony):
    colony = make_colony(**{"server.log_level": "debug"})
    token = colony.token
    colony.run_job("infer", model="demo", prompt="hello", max_tokens=2)
    colony.http.get(f"{colony.queen_url}/v1/info", headers={"authorization": f"Bearer {token}x"})
    assert colony.cli("ps").returncode == 0
    colony.stop()
    files = [path for path in colony.folder.rglob("*") if path.is_file() and path != colony.token_file]
    assert any(path.name.startswith("worker-") for path in files)
    assert [path for path in files if token.encode() in path.read_bytes()] == []


def test_a_worker_has_a_token_of_its_own_that_dies_with_it_and_not_the_colonys(shared_colony, stranger):
    queen, registry = shared_colony.queen_url, shared_colony.registry_url
    done = shared_colony.run_job("worker_spawn", model="echo:mine", worker_id="mine")
    assert done["type"] == "done", done
    marks = psutil.Process(shared_colony.worker("echo:mine")["pid"]).environ()
    assert shared_colony.token not in marks.values()
    headers = {"authorization": f"Bearer {marks['RBEE_WORKER_TOKEN']}"}

    def own(worker_id):
        lease = {"component_type": "worker", "component_id": worker_id}
        return stranger.post(f"{registry}/v1/registry/heartbeat", json=lease, headers=headers)

    assert own("mine").status_code == 200
    assert own("other").status_code == 403, "it speaks for itself alone"
    for method, template in CONTROL:
        if "worker" not in template and "register" not in template:
            url = template.format(queen=queen, registry=registry, hive=shared_colony.hive_url)
            answer = stranger.request(method, url, headers=headers, json={} if method == "POST" else None)
            assert answer.status_code in {401, 403}, template
    assert shared_colony.run_job("worker_process_delete", worker_id="mine")["type"] == "done"
    assert own("mine").status_code == 401
    components = shared_colony.http.get(f"{registry}/v1/registry/components").json()["components"]
    assert "mine" not in {one["identity"] if "identity" in one else one.get("component_id") for one in components}
