"""Beehives that are tried: hives, other programs, machines without a hive, and nothing at all; over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from rbee.beehives import Beehive, BeehiveChanges
from rbee.beehives.registry import BeehiveRegistry
from rbee.clients import Credentials
from rbee.contract.errors import UnavailableError, UnreachableError
from rbee.contract.wire import HiveHeartbeat, HiveInfo, Registration, utc_now
from rbee.queen.beehive_probe import probe
from rbee.queen.beehive_watch import BeehiveWatch
from rbee.queen.beehive_ways import Ways
from rbee.queen.tunnels import Roads, Tunnels
from rbee.remote import Host
from rbee.telemetry import Limits, TelemetryRegistry

TOKEN = "the-token"
PATIENCE_S = 20.0
HEALTH = {"status": "ok", "program": "hive", "hive_id": "h7"}
HIVE = {"id": "h7", "hostname": "x", "port": 1, "instance_id": "i1"}
CAPABILITIES = {
    "hive": HIVE,
    "capabilities": [{"id": "CPU-0", "name": "x", "device_type": "cpu", "backend": "cpu"}],
    "engines": [],
}


class Machine:
    """A machine's port at which something answers HTTP as it is told to."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, bool]] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split()[1]
            allowed = f"Bearer {TOKEN}" in head
            self.asked.append((path, allowed))
            found = self.answers.get(path, b"")
            if callable(found):
                found = found(allowed)
            status, body = found if isinstance(found, tuple) else (200, found)
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            writer.write(
                b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (status, len(raw), raw)
            )
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
async def host() -> AsyncIterator[Machine]:
    one = Machine()
    one.answers = {"/health": HEALTH, "/v1/capabilities": CAPABILITIES}
    await one.start()
    yield one
    await one.stop()


def nothing() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def at(port: int, **more: Any) -> Beehive:
    return Beehive(**{"node_name": "gpu1", "ssh_host": "127.0.0.1", "ssh_port": nothing(), "hive_port": port, **more})


async def test_a_hive_is_found_by_name_and_told_by_its_address(host: Machine) -> None:
    finding = await probe(at(host.port, ssh_host="localhost"), Credentials(TOKEN))
    assert (finding.status, finding.url) == ("online", f"http://127.0.0.1:{host.port}")
    assert finding.hive is not None
    assert finding.hive.hive.id == "h7"


async def test_the_token_is_shown_to_hives_alone(host: Machine) -> None:
    await probe(at(host.port), Credentials(TOKEN))
    assert host.asked == [("/health", False), ("/v1/capabilities", True)]
    host.asked.clear()
    host.answers["/health"] = {"program": "queen"}
    await probe(at(host.port), Credentials(TOKEN))
    assert host.asked == [("/health", False)]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"/health": b"<html>"}, "another program"),
        ({"/health": {"program": "queen"}}, "is not a hive but 'queen'"),
        ({"/health": {}}, "is not a hive but 'another program'"),
        ({"/health": (404, b"no")}, "is not a hive of this colony"),
        ({"/v1/capabilities": (401, {"error": {"code": "INVALID_API_KEY", "message": "m"}})}, "has another token"),
        ({"/v1/capabilities": {"hive": 1}}, "another version"),
    ],
)
async def test_a_wrong_answer_is_an_error_with_its_reason(host: Machine, answers: dict[str, Any], words: str) -> None:
    host.answers |= answers
    finding = await probe(at(host.port), Credentials(TOKEN))
    assert finding.status == "error"
    assert words in finding.detail


async def test_a_program_that_speaks_no_http_is_an_error() -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        finding = await probe(at(server.sockets[0].getsockname()[1]), Credentials(TOKEN))
    assert finding.status == "error"


async def test_a_machine_without_a_hive_is_reachable_by_its_ssh_server(host: Machine) -> None:
    finding = await probe(at(nothing(), ssh_port=host.port), Credentials(TOKEN))
    assert finding.status == "reachable"


@pytest.mark.parametrize("name", ["127.0.0.1", "no-such-machine.invalid", "x" * 64 + ".invalid"])
async def test_a_machine_that_says_nothing_is_offline(name: str) -> None:
    assert (await probe(at(nothing(), ssh_host=name), Credentials(TOKEN))).status == "offline"


def ways() -> Ways:
    """Without tunnels."""
    roads = Roads()
    return Ways(Tunnels(roads, nobody, None), roads, Credentials(TOKEN), TelemetryRegistry(lambda: 0.0, Limits(), str))


async def nobody(beehive: Beehive) -> Host:
    raise UnreachableError(f"{beehive.node_name} is called by nobody")


class Desk:
    """A watch over a registry in a file, the registrations it makes, and the telemetry it reads."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self.telemetry = TelemetryRegistry(clock, Limits(), lambda _model: None)
        self.told: list[Registration] = []
        url = f"sqlite:///{folder}/beehives.db"
        self.watch = BeehiveWatch(url, self.telemetry, self.register, ways(), tick_s=0.01)
        self.other = BeehiveRegistry(url)
        self.seq = 0

    def register(self, registration: Registration) -> None:
        self.told.append(registration)
        self.telemetry.update_hive(registration.identity or "", registration.address, registration.instance_id)

    def beat(self, hive_id: str = "h7", url: str | None = None) -> None:
        self.seq += 1
        info = HiveInfo(id=hive_id, hostname="x", port=1, url=url, seq=self.seq, instance_id="i1")
        self.telemetry.update_hive_state(HiveHeartbeat(hive=info, timestamp=utc_now()))

    async def until(self, status: str, name: str = "gpu1") -> Beehive:
        async with asyncio.timeout(PATIENCE_S):
            while (found := await self.watch.get(name)).status != status:
                await asyncio.sleep(0.01)
        return found


@pytest.fixture
async def desk(tmp_path: Path, clock: Callable[[], float]) -> AsyncIterator[Desk]:
    one = Desk(tmp_path, clock)
    await one.watch.open()
    running = asyncio.create_task(one.watch.run())
    yield one
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("beehive ")]
    await one.watch.close()


def entry(port: int, **more: Any) -> BeehiveChanges:
    said = {"node_name": "gpu1", "ssh_host": "127.0.0.1", "ssh_port": nothing(), "hive_port": port}
    return BeehiveChanges(**{**said, **more})


async def test_a_hive_that_was_entered_is_found_and_registered(desk: Desk, host: Machine) -> None:
    await desk.watch.enter([entry(host.port)], update=False)
    found = await desk.until("online")
    assert (found.devices, found.backends) == (("CPU-0",), ("cpu",))
    assert found.last_connected_unix is not None
    (told,) = desk.told
    assert (told.identity, told.address, told.instance_id) == ("h7", f"http://127.0.0.1:{host.port}", "i1")


async def test_a_hive_that_stops_is_offline_and_one_that_comes_back_online(
    desk: Desk, host: Machine, clock: Any
) -> None:
    await desk.watch.enter([entry(host.port)], update=False)
    await desk.until("online")
    desk.beat()
    asked = len(host.asked)
    await host.stop()
    await asyncio.sleep(0.1)
    # It beats: nobody asks whether it is there.
    assert len(host.asked) == asked
    clock.tick(60)
    before = await desk.until("offline")
    assert before.last_connected_unix is not None
    desk.beat()
    assert (await desk.until("online")).devices == ("CPU-0",)


async def test_a_machine_that_moved_is_looked_for_at_its_new_place(desk: Desk, host: Machine) -> None:
    await desk.watch.enter([entry(nothing())], update=False)
    await desk.until("offline")
    await desk.watch.enter([BeehiveChanges(node_name="gpu1", hive_port=host.port)], update=True)
    await desk.until("online")


async def test_those_that_are_disabled_behind_another_or_without_host_are_left_alone(desk: Desk, host: Machine) -> None:
    await desk.watch.enter(
        [
            entry(host.port, node_name="off", enabled=False),
            entry(host.port, node_name="behind", ssh_jump="gate"),
            entry(host.port, node_name="command", labels={"proxy_jump": "command"}),
            BeehiveChanges(node_name="nowhere"),
            entry(host.port),
        ],
        update=False,
    )
    await desk.until("online")
    statuses = {one.node_name: one.status for one in await desk.watch.list()}
    assert statuses == {
        "off": "unknown",
        "behind": "unknown",
        "command": "unknown",
        "nowhere": "unknown",
        "gpu1": "online",
    }
    assert [path for path, _ in host.asked] == ["/health", "/v1/capabilities"]


async def test_a_hive_elsewhere_that_goes_by_its_name_is_not_its_hive(desk: Desk) -> None:
    port = nothing()
    desk.beat("gpu1", "http://10.0.0.9:7835")
    await desk.watch.enter([entry(port)], update=False)
    await desk.until("offline")
    desk.beat("gpu1", f"http://127.0.0.1:{port}")
    await desk.until("online")


async def test_one_that_was_removed_is_not_tried_any_more(desk: Desk, host: Machine) -> None:
    await desk.watch.enter([entry(host.port)], update=False)
    await desk.until("online")
    await desk.watch.remove("gpu1")
    async with asyncio.timeout(PATIENCE_S):
        while desk.watch._watched:
            await asyncio.sleep(0.01)


async def test_one_that_another_program_removed_is_not_tried_any_more(desk: Desk) -> None:
    port = nothing()
    await desk.watch.enter([entry(port)], update=False)
    await desk.until("offline")
    await desk.other.open()
    await desk.other.remove("gpu1")
    await desk.other.close()
    desk.beat("gpu1", f"http://127.0.0.1:{port}")
    async with asyncio.timeout(PATIENCE_S):
        while desk.watch._watched:
            await asyncio.sleep(0.01)


async def test_a_data_base_that_is_away_at_the_start_is_opened_when_it_is_there(
    postgres: str, postgres_url: str, host: Machine, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rbee.queen.beehive_watch._RETRY_S", 0.05)
    there = postgres.partition("host=")[2]
    folder = Path(tempfile.mkdtemp(prefix="rbee-away-"))
    found: asyncio.Queue[Registration] = asyncio.Queue()
    watch = BeehiveWatch(
        postgres_url.replace(there, str(folder / "link")),
        TelemetryRegistry(clock, Limits(), lambda _model: None),
        found.put_nowait,
        ways(),
        tick_s=0.01,
    )
    await watch.open()
    running = asyncio.create_task(watch.run())
    entered = BeehiveChanges(node_name="gpu1", ssh_host="127.0.0.1", ssh_port=nothing(), hive_port=host.port)
    try:
        with pytest.raises(UnavailableError, match="cannot be opened"):
            await watch.enter([entered], update=False)
        (folder / "link").symlink_to(there)
        async with asyncio.timeout(PATIENCE_S):
            while True:  # the data base has no event for it
                with contextlib.suppress(UnavailableError):
                    await watch.enter([entered], update=False)
                    break
                await asyncio.sleep(0.01)
            assert (await found.get()).identity == "h7"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await watch.close()
        shutil.rmtree(folder)
