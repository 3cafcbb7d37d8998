"""A hive behind a firewall that lets SSH in and nothing else: all of it goes through the queen's tunnel."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest
from rbee.testing.colony import eventually
from rbee.testing.networks import Network, network, why_not
from rbee.testing.programs import Machine, Program
from rbee.testing.site import Site
from rbee.testing.sshd import Sshd, running_sshd, why_no_sshd

_FIREWALL = ("-A INPUT -i lo -j ACCEPT", "-A INPUT -p tcp --dport 22 -j ACCEPT", "-A INPUT -j DROP")
_SETTINGS = {
    "worker.heartbeat_s": "1",
    "telemetry.worker_stale_s": "4",
    "telemetry.worker_gone_s": "60",
    "telemetry.hive_degraded_s": "2",
    "telemetry.hive_down_s": "4",
}


@pytest.fixture
def cables() -> Iterator[Network]:
    if (reason := why_not() or why_no_sshd()) is not None:
        pytest.skip(reason)
    with network() as found:
        found.join("first")
        found.join("attic")
        for words in _FIREWALL:
            try:
                subprocess.run([*found.prefix("attic"), "iptables", *words.split()], check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError) as error:
                pytest.skip(f"there is no firewall here: {error}")
        yield found


@pytest.fixture
def sshd(cables: Network, tmp_path) -> Iterator[Sshd]:
    options = {"prefix": cables.prefix("attic"), "address": cables.address("attic"), "port": 22}
    with running_sshd(tmp_path / "sshd", **options) as found:
        yield found


@pytest.fixture
def site(cables: Network, make_site) -> Site:
    found = make_site(_SETTINGS, address=cables.address("first"), prefix=cables.prefix("first"))
    found.queen.start()
    return found


def hive_of(site: Site, cables: Network) -> Program:
    attic = site.machine("attic", cables.address("attic"), cables.prefix("attic"))
    hive = site.program("hive", attic)
    # It knows neither the queen nor a registry.
    del attic.settings["registry.url"]
    return hive.start()


def enter(site: Site, sshd: Sshd, **more: object) -> None:
    body = {
        "node_name": "attic",
        "ssh_host": sshd.address,
        "ssh_user": sshd.user,
        "ssh_key_path": str(sshd.key),
        "host_key_fingerprint": sshd.fingerprint,
        **more,
    }
    answer = site.http.post(f"{site.queen_url}/v2/registry/beehives/add", json=body)
    assert answer.status_code == 200, answer.text


def listed(site: Site) -> dict[str, object]:
    (one,) = site.http.get(f"{site.queen_url}/v2/registry/beehives/list").raise_for_status().json()["nodes"]
    return one


def hears(site: Site) -> bool:
    return bool(site.hives().get("attic", {}).get("online"))


def says(site: Site, text: str = "hello") -> str:
    body = {"model": "echo", "messages": [{"role": "user", "content": text}]}
    answer = site.http.post(f"{site.queen_url}/v1/chat/completions", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


def streamed(site: Site, text: str) -> str:
    body = {"model": "echo", "messages": [{"role": "user", "content": text}], "stream": True}
    said = ""
    with site.http.stream("POST", f"{site.queen_url}/v1/chat/completions", json=body, timeout=30) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                choices = json.loads(line.removeprefix("data: "))["choices"]
                said += choices[0]["delta"].get("content") or "" if choices else ""
    return said


def remembered(attic: Machine) -> str:
    return (attic.home / "config" / "identity" / "queen").read_text().strip()


def sessions(sshd: Sshd) -> list[psutil.Process]:
    assert sshd._process is not None
    return psutil.Process(sshd._process.pid).children(recursive=True)


def test_a_hive_behind_a_firewall_works_through_a_tunnel_that_comes_back_when_it_was_cut(
    site: Site, cables: Network, sshd: Sshd
) -> None:
    began = time.monotonic()

    def note(what: str) -> None:
        print(f"{time.monotonic() - began:5.1f} s: {what}")

    hive = hive_of(site, cables)
    enter(site, sshd)
    eventually(lambda: hears(site), 40)
    note("the hive is heard")
    # Jobs and inference.
    last = site.run_job("worker_spawn", hive_id="attic", model="echo", worker_id="w")
    assert last["type"] == "done", last
    assert "hello" in says(site)
    assert "a stream through it" in streamed(site, "a stream through it")
    note("it has answered")
    # What is seen of it.
    one = eventually(lambda: listed(site) if listed(site)["tunnel_port"] else None, 20)
    assert (one["status"], one["reach"]) == ("online", "tunnel")
    assert "tunnel" in site.machines["first"].cli("hive", "ls").stdout
    queen_url = f"https://127.0.0.1:{one['tunnel_port']}"
    eventually(lambda: remembered(hive.machine) == queen_url, 20)
    (worker,) = site.workers()
    assert worker["url"].startswith(f"https://{cables.address('attic')}:")
    logs = site.machines["first"].cli("logs", "w")
    assert logs.returncode == 0, logs.stderr
    note("it is listed")

    # The SSH server there ends the line.
    for one in sessions(sshd):
        one.send_signal(signal.SIGKILL)
    eventually(lambda: says(site, "again"), 30, every=0.2)
    note("the line that was ended is back")

    # The network is gone for longer than the line holds, and nobody is told.
    cables.cut("attic")
    eventually(lambda: not hears(site), 20, every=0.2)
    refused = site.http.post(
        f"{site.queen_url}/v1/chat/completions",
        json={"model": "echo", "messages": [{"role": "user", "content": "lost"}]},
        timeout=30,
    )
    assert refused.status_code >= 400
    note("cut: a request is refused")
    eventually(lambda: "'attic': attic: nothing came" in site.queen.said(), 30, every=0.2)
    note("the loss is noticed")
    cables.heal("attic")
    eventually(lambda: hears(site), 40, every=0.2)
    assert "healed" in says(site, "healed")
    note("healed")
    assert remembered(hive.machine) == queen_url
    assert listed(site)["tunnel_port"] == int(queen_url.rpartition(":")[2])
    # The worker has gone on; another one may have been started for who asked meanwhile.
    assert worker["pid"] in {one["pid"] for one in site.workers()}
    # The queen ends, and nothing of hers is left there.
    site.queen.stop()
    eventually(lambda: not sessions(sshd), 10)
    note("ended")
