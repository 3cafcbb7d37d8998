"""Machines with networks of their own join a colony and work in it, over TLS."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx2
import pytest
from rbee.testing.colony import eventually
from rbee.testing.networks import Network, why_not
from rbee.testing.programs import Machine
from rbee.testing.site import Site
from rbee.trust.identity import Identity


@pytest.fixture
def network() -> Iterator[Network]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    found = Network()
    try:
        found.open()
        for name in ("first", "attic"):
            found.join(name)
        yield found
    finally:
        found.close()


@pytest.fixture
def site(network: Network, make_site) -> Site:
    found = make_site({}, address=network.address("first"), prefix=network.prefix("first"))
    found.queen.start()
    return found


def newcomer(site: Site, network: Network, name: str) -> Machine:
    """A machine that knows nothing of the colony."""
    found = site.machine(name, network.address(name), network.prefix(name), joined=False)
    found.token_file.unlink()
    return found


def invited(site: Site, *args: str) -> list[str]:
    asked = site.machines["first"].cli("hive", "invite", *args)
    assert asked.returncode == 0, asked.stderr
    program, *words = shlex.split(asked.stdout)
    assert program == "rbee"
    return words


def test_a_machine_joins_by_the_command_that_is_printed_and_answers_without_ever_having_the_token(
    site: Site, network: Network
) -> None:
    attic = newcomer(site, network, "attic")
    command = invited(site, "--name", "attic")
    done = attic.cli(*command)
    assert done.returncode == 0, done.stderr
    again = attic.cli(*command, "--force")
    assert (again.returncode, again.stdout) == (1, "")
    assert "rbee hive invite" in again.stderr
    hive = site.program("hive", attic).start()
    eventually(lambda: "attic" in site.hives(), 30)
    assert hive.url.startswith("https://")
    last = site.run_job("worker_spawn", hive_id="attic", model="echo", worker_id="w")
    assert last["type"] == "done", last
    answer = site.http.post(
        f"{site.queen_url}/v1/chat/completions",
        json={"model": "echo", "messages": [{"role": "user", "content": "hello"}]},
    )
    assert "hello" in answer.json()["choices"][0]["message"]["content"]
    # Its own programs made one for their loopback; it is not the colony's.
    assert attic.token != site.token


def test_who_is_not_the_colony_that_was_meant_gets_no_invitation_to_see(site: Site, network: Network) -> None:
    attic = newcomer(site, network, "attic")
    words = invited(site)
    at = words.index("--ca-fingerprint") + 1
    right, words[at] = words[at], "SHA256:" + "A" * 43
    refused = attic.cli(*words)
    assert refused.returncode != 0
    assert "Nothing was sent" in refused.stderr
    words[at] = right
    assert attic.cli(*words).returncode == 0


def test_a_machine_that_has_not_joined_does_not_listen_beyond_its_loopback(site: Site, network: Network) -> None:
    attic = newcomer(site, network, "attic")
    refused = attic.cli("hive", "start")
    assert refused.returncode != 0
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "rbee hive invite" in refused.stderr


def test_a_hive_can_neither_command_the_colony_nor_speak_for_another_hive(site: Site, network: Network) -> None:
    site.machine("attic", network.address("attic"), network.prefix("attic"))
    folder = site.machines["attic"].home / "config" / "identity"
    address = site.queen_url.removeprefix("https://")
    host, _, port = address.partition(":")

    def ask(method: str, path: str, body: object = None) -> tuple[int, str]:
        """As the hive's certificate, from its own machine."""
        argv = [
            *network.prefix("attic"), "curl", "-sS", "-X", method, f"https://queen.rbee.internal:{port}{path}",
            "--connect-to", f"queen.rbee.internal:{port}:{host}:{port}", "-H", f"host: {address}",
            "--cert", str(folder / "identity.pem"), "--cacert", str(folder / "roots.pem"),
            "-H", "content-type: application/json", "-w", "\n%{http_code}",
        ]  # fmt: skip
        argv += [] if body is None else ["-d", json.dumps(body)]
        text, _, code = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.rpartition("\n")
        return int(code), text

    assert ask("GET", "/v1/info")[0] == 200
    for method, path in (
        ("POST", "/v1/shutdown"),
        ("GET", "/v1/jobs"),
        ("POST", "/v1/ca/invite"),
        ("GET", "/v1/decisions"),
    ):
        status, text = ask(method, path, {} if method == "POST" else None)
        assert (status, "FORBIDDEN" in text) == (403, True), path
    registration = {"component_type": "hive", "component_id": "cellar", "url": "https://198.18.0.9:1"}
    status, text = ask("POST", "/v1/queen/register-hive", registration)
    assert (status, "cellar" in text) == (403, True)
    assert ask("POST", "/v1/queen/register-hive", registration | {"component_id": "attic"})[0] == 200


def test_plain_text_is_not_spoken_between_machines(site: Site, network: Network) -> None:
    plain = site.queen_url.replace("https://", "http://")
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(f"{plain}/health", trust_env=False, timeout=5)
    assert site.http.get(f"{site.queen_url}/health").status_code == 200


def test_certificates_end_and_are_renewed_while_an_answer_goes_on(network: Network, make_site) -> None:
    lifetime = {"security.certificate_hours": "0.002"}
    site = make_site(lifetime, address=network.address("first"), prefix=network.prefix("first"))
    site.queen.start()
    attic = newcomer(site, network, "attic")
    assert attic.cli(*invited(site, "--name", "attic")).returncode == 0
    site.program("hive", attic).start()
    eventually(lambda: "attic" in site.hives(), 30)
    # Twice as long as a certificate holds.
    model = "echo:slow?tokens=150&delay_ms=100"
    last = site.run_job("worker_spawn", hive_id="attic", model=model, worker_id="w")
    assert last["type"] == "done", last
    identity = Identity(attic.home / "config" / "identity")
    before = identity.peer.serial, identity.expires_at
    ask = {"model": model, "messages": [{"role": "user", "content": "word"}], "stream": True}
    with site.http.stream("POST", f"{site.queen_url}/v1/chat/completions", json=ask) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    assert len(lines) > 150
    assert lines[-1] == "data: [DONE]"
    assert datetime.now(UTC) > before[1], "it has ended meanwhile"
    assert Identity(attic.home / "config" / "identity").peer.serial != before[0]
    # Connections made now show the new ones, on every hop.
    with httpx2.Client(verify=site.trusting(), trust_env=False, timeout=20) as fresh:
        again = fresh.post(
            f"{site.queen_url}/v1/chat/completions",
            json={"model": "echo:quick", "messages": [{"role": "user", "content": "still here"}]},
            headers={"authorization": f"Bearer {site.token}"},
        )
    assert again.status_code == 200, again.text
    assert "attic" in site.hives()


def test_on_a_network_that_leads_nowhere_a_machine_is_told_by_its_address_there(network: Network) -> None:
    code = "from rbee.http.ports import url_of; print(url_of('0.0.0.0', 7835))"
    asked = subprocess.run(
        [*network.prefix("attic"), sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert asked.stdout.strip() == f"https://{network.address('attic')}:7835"


def test_hives_give_each_other_models(network: Network, site: Site) -> None:
    network.join("cellar")
    for name in ("attic", "cellar"):
        machine = newcomer(site, network, name)
        joined = machine.cli(*invited(site, "--name", name))
        assert joined.returncode == 0, joined.stderr
        site.program("hive", machine).start()
    eventually(lambda: {"attic", "cellar"} <= set(site.hives()), 30)
    first = site.machines["first"]
    pulled = first.cli("model", "pull", "demo", "--hive", "attic")
    assert pulled.returncode == 0, pulled.stderr
    copied = first.cli("model", "cp", "demo", "--from", "attic", "--to", "cellar")
    assert copied.returncode == 0, copied.stderr
    last = site.run_job("worker_spawn", hive_id="cellar", model="demo", worker_id="w")
    assert last["type"] == "done", last
    answer = first.cli("infer", "demo", "What is Python?", "--hive", "cellar")
    assert answer.returncode == 0, answer.stderr
