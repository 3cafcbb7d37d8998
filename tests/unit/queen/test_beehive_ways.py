"""Which ways to a machine are tried, and in which order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rbee.beehives import Beehive, BeehiveChanges
from rbee.beehives.later import BeehivesLater
from rbee.clients import Credentials
from rbee.contract.errors import UnreachableError
from rbee.queen.beehive_watch import BeehiveWatch
from rbee.queen.beehive_ways import Ways, goes_directly
from rbee.queen.tunnels import Roads, Tunnels
from rbee.telemetry import Limits, TelemetryRegistry
from rbee.trust.authority import Authority
from rbee.trust.identity import Identity
from rbee.trust.names import Role
from unit.queen.tunnels.machine import ADDRESS, Machine

PINNED = f"SHA256:{'A' * 43}"


def nothing() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def machine_row(**more: Any) -> Beehive:
    said = {"node_name": "attic", "ssh_host": "127.0.0.1", "ssh_port": nothing(), "hive_port": nothing()}
    return Beehive(**{**said, "host_key_fingerprint": PINNED, **more})


class Desk:
    def __init__(self, inner: int | None = 1, credentials: Credentials | None = None) -> None:
        self.machine = Machine()
        self.roads = Roads()
        self.tunnels = Tunnels(self.roads, lambda beehive: self.machine.connect(), inner)
        self.changes = 0
        self.ways = Ways(
            self.tunnels, self.roads, credentials or Credentials("t"), TelemetryRegistry(lambda: 0.0, Limits(), str)
        )

    async def look(self, beehive: Beehive) -> tuple[str, str]:
        found = await self.ways.look(beehive, None, self.changed)
        return found.status, found.detail

    def changed(self) -> None:
        self.changes += 1

    async def close(self) -> None:
        await self.tunnels.close_all()
        self.roads.close()
        await self.machine.close()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    one = Desk()
    yield one
    await one.close()
    assert not [task for task in asyncio.all_tasks() if "SSH tunnel" in task.get_name()]


async def test_where_nothing_answers_directly_a_tunnel_is_opened_and_kept(desk: Desk) -> None:
    row = machine_row()
    status, detail = await desk.look(row)
    assert status == "reachable"
    assert f"no hive answers at https://{ADDRESS}:{row.hive_port}" in detail
    assert desk.changes > 0
    await desk.look(row)
    assert desk.machine.tries == 1
    desk.ways.close("attic")
    await desk.tunnels.close_all()
    assert desk.machine.hosts[0].closed


@pytest.mark.parametrize(
    "more",
    [{"reach_wanted": "direct"}, {"host_key_fingerprint": None}, {"host_key_fingerprint": None, "reach": "tunnel"}],
)
async def test_nobody_is_logged_in_where_the_operator_has_not_agreed_to_it(desk: Desk, more: dict[str, Any]) -> None:
    assert (await desk.look(machine_row(**more)))[0] == "offline"
    assert desk.machine.tries == 0


async def test_where_a_tunnel_is_wanted_nothing_is_called_directly(desk: Desk) -> None:
    called = []
    server = await asyncio.start_server(lambda reader, writer: called.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    desk.machine.there = False
    status, detail = await desk.look(machine_row(reach_wanted="tunnel", ssh_port=port, host_key_fingerprint=None))
    assert (status, "attic is not there" in detail) == ("offline", True)
    assert desk.machine.tries == 1
    assert not called
    server.close()


async def test_the_machine_answers_directly_though_its_tunnel_does_not_open(desk: Desk) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    desk.machine.there = False
    status, detail = await desk.look(machine_row(ssh_port=server.sockets[0].getsockname()[1]))
    assert (status, "there is no SSH tunnel" in detail) == ("reachable", True)
    server.close()


async def test_a_queen_on_loopback_alone_has_no_tunnels() -> None:
    desk = Desk(inner=None)
    status, detail = await desk.look(machine_row(reach_wanted="tunnel"))
    assert (status, "server.host" in detail) == ("offline", True)
    assert (await desk.look(machine_row()))[0] == "offline"
    assert desk.machine.tries == 0
    await desk.close()


@pytest.fixture
async def watch(desk: Desk, tmp_path: Path, clock: Callable[[], float]) -> AsyncIterator[BeehiveWatch]:
    one = BeehiveWatch(tmp_path / "watched.db", TelemetryRegistry(clock, Limits(), str), print, desk.ways)
    await one.open()
    running = asyncio.create_task(one.run())
    yield one
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await one.close()


def attic() -> BeehiveChanges:
    row = machine_row()
    said = {name: getattr(row, name) for name in ("ssh_host", "ssh_port", "hive_port", "host_key_fingerprint")}
    return BeehiveChanges(node_name="attic", **said)


async def test_who_waits_for_the_tunnel_of_a_machine_that_is_taken_off_the_list_hears_so(
    desk: Desk, watch: BeehiveWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, begun = desk.ways.queen_url, asyncio.Event()

    def seen(beehive: Beehive, url: str) -> Awaitable[str]:
        begun.set()
        return asked(beehive, url)

    monkeypatch.setattr(desk.ways, "queen_url", seen)
    desk.machine.answers.clear()
    await watch.enter([attic()], update=False)
    waiting = asyncio.create_task(watch.queen_url("attic", f"https://127.0.0.1:{nothing()}"))
    async with asyncio.timeout(20):
        await begun.wait()
        await watch.remove("attic")
        with pytest.raises(UnreachableError, match="'attic' was closed"):
            await waiting


async def test_no_list_of_machines_is_followed_after_a_newer_one(
    desk: Desk, watch: BeehiveWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, at_once, most, later = BeehivesLater.list, 0, 0, asyncio.Event()

    async def slow(registry: BeehivesLater) -> list[Beehive]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            found = await read(registry)
            await asyncio.wait([asyncio.ensure_future(later.wait())], timeout=0.2)
            return found
        finally:
            at_once -= 1

    monkeypatch.setattr(BeehivesLater, "list", slow)
    await watch.enter([attic()], update=False)
    url = await watch.queen_url("attic", f"https://127.0.0.1:{nothing()}")
    later.set()

    assert url.startswith("https://127.0.0.1:")
    assert most == 1


async def test_a_machine_that_does_not_reach_the_queen_finds_her_at_its_end_of_the_tunnel(
    desk: Desk, tmp_path: Path, clock: Callable[[], float]
) -> None:
    watch = BeehiveWatch(tmp_path / "beehives.db", TelemetryRegistry(clock, Limits(), str), print, desk.ways)
    await watch.open()
    try:
        row = machine_row()
        said = {name: getattr(row, name) for name in ("ssh_host", "ssh_port", "hive_port", "host_key_fingerprint")}
        await watch.enter([BeehiveChanges(node_name="attic", **said)], update=False)
        elsewhere = f"https://127.0.0.1:{nothing()}"
        url = await watch.queen_url("attic", elsewhere)
        assert url.startswith("https://127.0.0.1:")
        assert url != elsewhere
        kept = await watch.get("attic")
        # From now on she keeps it open, for her hive knows no other address, and at that port.
        assert (kept.reach_wanted, kept.tunnel_port) == ("tunnel", int(url.rpartition(":")[2]))
        assert await watch.queen_url("attic", elsewhere) == url
        await watch.enter([BeehiveChanges(node_name="attic", reach_wanted="direct")], update=True)
        assert await watch.queen_url("attic", elsewhere) == elsewhere
    finally:
        for task in watch._watched.values():
            task.cancel()
        await asyncio.gather(*watch._watched.values(), return_exceptions=True)
        await watch.close()


class Colony:
    """An authority, and programs that answer over TLS with what they are told to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = Authority(folder / "ca")
        self._authority.open()
        self._servers: list[asyncio.Server] = []

    def identity(self, role: Role, name: str) -> Identity:
        found = Identity(self._folder / f"{role}-{name}")
        key, request = found.ask()
        made = self._authority.issue(request, role, name, (), timedelta(hours=1))
        found.take(key, made.certificate, self._authority.roots_pem())
        return found

    async def serve(self, role: Role, name: str, answers: dict[str, Any]) -> int:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
                body = json.dumps(answers[path]).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body)
            writer.close()

        context = self.identity(role, name).server_context()
        self._servers.append(await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context))
        return int(self._servers[-1].sockets[0].getsockname()[1])

    def close(self) -> None:
        for server in self._servers:
            server.close()


@pytest.fixture
async def colony(tmp_path: Path) -> AsyncIterator[Colony]:
    one = Colony(tmp_path)
    yield one
    one.close()


async def test_a_hive_that_proves_who_it_is_at_the_end_of_the_tunnel_is_called_through_it(colony: Colony) -> None:
    hive = {"id": "h7", "hostname": "x", "port": 1, "instance_id": "i1"}
    answers = {
        "/health": {"status": "ok", "program": "hive", "hive_id": "h7"},
        "/v1/capabilities": {"hive": hive, "capabilities": [], "engines": []},
    }
    port = await colony.serve(Role.HIVE, "h7", answers)
    desk = Desk(credentials=Credentials(None, colony.identity(Role.QUEEN, "queen")))
    # Where the queen calls it herself, nothing listens.
    row = machine_row(ssh_host="127.0.0.9", hive_port=port)
    found = await desk.ways.look(row, None, desk.changed)
    assert (found.status, found.reach, found.url) == ("online", "tunnel", f"https://{ADDRESS}:{port}")
    assert desk.roads.leads_through("h7")
    assert desk.ways.of("h7", answers=True) == "tunnel"
    assert desk.ways.of("h8", answers=True) == "direct"
    desk.machine.cut()
    assert (await desk.ways.look(row, "h7", desk.changed)).hive is None
    await desk.close()


async def test_a_machine_that_reaches_the_queen_itself_is_told_of_her_own_address(
    colony: Colony, tmp_path: Path, clock: Callable[[], float]
) -> None:
    queen = f"https://127.0.0.1:{await colony.serve(Role.QUEEN, 'queen', {'/health': {}})}"
    hive = f"https://127.0.0.1:{await colony.serve(Role.HIVE, 'h7', {'/health': {}})}"
    desk = Desk(credentials=Credentials(None, colony.identity(Role.QUEEN, "queen")))
    assert await desk.ways.queen_url(machine_row(), queen) == queen
    # Another program of the colony is not she.
    assert await desk.ways.queen_url(machine_row(), hive) != hive
    assert await desk.ways.queen_url(machine_row(reach_wanted="tunnel"), queen) != queen
    await desk.close()


@pytest.mark.parametrize(
    ("more", "directly"),
    [
        ({}, True),
        ({"ssh_jump": "none"}, True),
        ({"ssh_jump": "gate"}, False),
        ({"labels": {"proxy_jump": "gate"}}, False),
        ({"ssh_host": None, "ssh_alias": "attic"}, False),
        ({"reach_wanted": "tunnel"}, False),
        ({"reach_wanted": "direct"}, True),
    ],
)
def test_behind_another_machine_an_address_may_be_somebody_elses(more: dict[str, Any], directly: bool) -> None:
    assert goes_directly(machine_row(**more)) is directly
