"""A tunnel is opened, leads both ways, and comes back by itself, at the port that is known there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Self

import pytest
from rbee.beehives import Beehive
from rbee.contract.errors import ConfigurationError, UnreachableError
from rbee.queen.tunnels import Roads, Tunnel, Tunnels
from rbee.queen.tunnels.tunnel import _BACK_S, _BACK_WAITS_S
from rbee.remote import Host
from unit.queen.tunnels.machine import Machine

PATIENCE_S = 20.0


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    one = Machine()
    yield one
    await one.close()


class Echo:
    """A server that answers each line with its name in front."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(f"{self.name}: ".encode() + line)
        writer.close()


async def ask(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello\n")
    answer = (await reader.readline()).decode()
    writer.close()
    return answer


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not check():
            await asyncio.sleep(0.01)


@pytest.fixture
async def run() -> AsyncIterator[Callable[[Tunnel], Tunnel]]:
    tasks: list[asyncio.Task[None]] = []

    def start(tunnel: Tunnel) -> Tunnel:
        tasks.append(asyncio.create_task(tunnel.run()))
        return tunnel

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_both_ways_lead_to_where_they_should_and_again_after_the_line_was_cut(machine: Machine, run) -> None:
    changes: list[bool] = []
    async with Echo("hive") as hive, Echo("queen") as queen:
        tunnel = run(
            Tunnel(
                "attic",
                machine.connect,
                queen.port,
                changed=lambda: changes.append(tunnel.is_open),
                spread=lambda seconds: seconds / 100,
            )
        )
        await tunnel.settled()
        assert tunnel.address == "192.0.2.7"
        assert await ask(await tunnel.open("127.0.0.1", hive.port)) == "hive: hello\n"
        await until(lambda: tunnel.port_there)
        there = tunnel.port_there
        assert await ask(there or 0) == "queen: hello\n"
        assert tunnel.queen_url == f"https://127.0.0.1:{there}"

        machine.cut()
        await until(lambda: tunnel.why)
        assert (tunnel.door("127.0.0.1", hive.port), tunnel.queen_url) == (None, None)
        with pytest.raises(UnreachableError, match=r"no SSH tunnel to 'attic'.*(not there|line broke)"):
            await tunnel.open("127.0.0.1", hive.port)

        machine.there = True
        await until(lambda: tunnel.port_there)
        assert tunnel.port_there == there
        # Opened anew without being asked for.
        await until(lambda: tunnel.door("127.0.0.1", hive.port))
        assert await ask(tunnel.door("127.0.0.1", hive.port) or 0) == "hive: hello\n"
    assert changes[:3] == [True, True, False]


async def test_who_waits_for_a_line_hears_of_each_try_that_fails(machine: Machine, run) -> None:
    machine.there = False
    tunnel = run(Tunnel("attic", machine.connect, 1))
    async with asyncio.timeout(PATIENCE_S):
        await tunnel.settled()
    assert tunnel.why is not None
    assert tunnel.why.message == "attic is not there"
    assert not tunnel.is_open


async def test_an_end_of_an_earlier_line_that_holds_the_port_is_ended(machine: Machine, run) -> None:
    machine.keeps_ports = True
    tunnel = run(Tunnel("attic", machine.connect, 1, spread=lambda seconds: seconds / 100))
    await until(lambda: tunnel.port_there)
    there = tunnel.port_there
    machine.hosts[-1].break_off()
    await until(lambda: len(machine.hosts) == 2)
    await until(lambda: tunnel.port_there)
    assert tunnel.port_there == there
    assert not machine.held


async def test_the_port_of_an_earlier_life_of_the_queen_is_taken_again(machine: Machine) -> None:
    there = 0
    for _ in range(2):
        tunnel = Tunnel("attic", machine.connect, 1, there)
        task = asyncio.create_task(tunnel.run())
        assert await tunnel.leads_back() == tunnel.queen_url
        assert there in {0, tunnel.port_there}
        there = tunnel.port_there or 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_who_waits_for_a_line_hears_that_there_will_be_none_any_more() -> None:
    async def never() -> Host:
        await asyncio.Event().wait()
        raise AssertionError

    for steps in range(4):
        tunnels = Tunnels(Roads(), lambda _: never(), 1)
        tunnel = tunnels.open(Beehive(node_name="attic"))
        waiting = asyncio.gather(tunnel.settled(), tunnel.leads_back(), return_exceptions=True)
        # At whatever step it is closed: also before it has begun.
        for _ in range(steps):
            await asyncio.sleep(0)
        tunnels.close("attic")
        async with asyncio.timeout(PATIENCE_S):
            _, refused = await waiting
        assert isinstance(refused, UnreachableError)
        assert "was closed" in refused.message
        await tunnels.close_all()


async def test_who_wants_to_be_led_back_hears_why_that_is_not_to_be(machine: Machine, run) -> None:
    machine.there = False
    with pytest.raises(UnreachableError, match="attic is not there"):
        await run(Tunnel("attic", machine.connect, 1)).leads_back()


async def test_a_port_that_somebody_else_has_there_is_replaced_after_a_while(
    machine: Machine, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rbee.queen.tunnels.tunnel._BACK_WAITS_S", (0.0, 0.01))
    async with Echo("stranger") as stranger:
        tunnel = run(Tunnel("attic", machine.connect, 1, stranger.port))
        await until(lambda: tunnel.port_there)
        assert tunnel.port_there != stranger.port


def test_another_port_is_asked_for_while_somebody_still_waits_for_one() -> None:
    # The tries themselves take their time, too.
    assert 1.5 * sum(_BACK_WAITS_S) < _BACK_S


async def test_who_is_not_led_back_in_time_hears_that_the_port_is_taken(
    machine: Machine, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rbee.queen.tunnels.tunnel._BACK_WAITS_S", (0.0, 60.0))
    monkeypatch.setattr("rbee.queen.tunnels.tunnel._BACK_S", 0.3)
    async with Echo("stranger") as stranger:
        with pytest.raises(UnreachableError, match=f"port {stranger.port} of attic is taken"):
            await run(Tunnel("attic", machine.connect, 1, stranger.port)).leads_back()


async def test_who_waits_where_no_port_can_lead_back_hears_why_at_once(machine: Machine, run) -> None:
    machine.forwards = False
    with pytest.raises(ConfigurationError, match="attic forwards no port"):
        async with asyncio.timeout(PATIENCE_S):
            await run(Tunnel("attic", machine.connect, 1)).leads_back()


async def test_a_line_that_falls_silent_is_taken_for_lost(
    machine: Machine, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rbee.queen.tunnels.line._SILENCE_S", 0.05)
    tunnel = run(Tunnel("attic", machine.connect, 1, spread=lambda seconds: seconds / 100))
    await tunnel.settled()
    machine.hosts[-1].silent = True
    await until(lambda: len(machine.hosts) > 1)
    assert machine.hosts[0].closed


async def test_nothing_of_a_tunnel_is_left_when_it_is_closed(machine: Machine) -> None:
    async with Echo("hive") as hive:
        tunnel = Tunnel("attic", machine.connect, 1)
        task = asyncio.create_task(tunnel.run())
        await tunnel.settled()
        port = await tunnel.open("127.0.0.1", hive.port)
        await until(lambda: tunnel.port_there)
        there = tunnel.port_there
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert machine.hosts[0].closed
    assert not tunnel.is_open
    for one in (port, there):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", one)


async def test_a_hive_is_called_through_its_tunnel_and_others_where_they_are(machine: Machine, run) -> None:
    roads = Roads()
    try:
        tunnel = run(Tunnel("attic", machine.connect, 1))
        await tunnel.settled()
        roads.lay("attic", tunnel)
        elsewhere = "https://198.51.100.7:7835"
        assert await roads.to("cellar", elsewhere) == elsewhere
        assert roads.now(None, elsewhere) == elsewhere
        # The address is the machine's own, whoever else has it here.
        road = await roads.to("attic", elsewhere)
        assert road == roads.now("attic", elsewhere)
        assert road.startswith("https://127.0.0.1:")
        await until(lambda: tunnel.port_there)
        assert roads.queen_url("attic", elsewhere) == tunnel.queen_url
        assert roads.queen_url("cellar", elsewhere) == elsewhere
        # A loopback there speaks no TLS: it is called at the address where its machine was reached.
        told = await roads.to("attic", "http://127.0.0.1:7835")
        assert told.startswith("https://127.0.0.1:")
        assert told == f"https://127.0.0.1:{tunnel.door('192.0.2.7', 7835)}"
        roads.leave(tunnel)
        assert roads.now("attic", elsewhere) == elsewhere
    finally:
        roads.close()


async def test_what_no_line_leads_to_refuses_at_once(machine: Machine, run) -> None:
    machine.there = False
    roads = Roads()
    try:
        tunnel = run(Tunnel("attic", machine.connect, 1))
        roads.lay("attic", tunnel)
        road = roads.now("attic", "https://198.51.100.7:7835")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", int(road.rpartition(":")[2]))
        with pytest.raises(UnreachableError):
            await roads.to("attic", "https://198.51.100.7:7835")
    finally:
        roads.close()
