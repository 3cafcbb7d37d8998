"""Sockets to listen on."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from rbee.contract.errors import ConfigurationError, PortTakenError
from rbee.http.ports import listen, port_of, shares_ports, url_of


def test_port_nought_takes_a_free_one_that_can_be_reached() -> None:
    with listen("127.0.0.1", 0, "a test") as sock, socket.create_connection(("127.0.0.1", port_of(sock))):
        assert port_of(sock) > 0


def test_a_taken_port_names_its_holder_and_the_setting() -> None:
    with listen("127.0.0.1", 0, "a test") as sock:
        with pytest.raises(PortTakenError, match=rf"process {os.getpid()} \(.+\).*queen\.port") as caught:
            listen("127.0.0.1", port_of(sock), "the queen", "queen.port")
        assert caught.value.details == {"port": port_of(sock)}


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0, "the queen")


def test_a_port_can_be_taken_again_at_once() -> None:
    first = listen("127.0.0.1", 0, "a test")
    port = port_of(first)
    first.close()
    listen("127.0.0.1", port, "a test").close()


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1:1"), ("::1", "http://[::1]:1")])
def test_a_url_is_made_of_host_and_port(host: str, url: str) -> None:
    assert url_of(host, 1) == url


def test_a_wildcard_is_no_address_to_call() -> None:
    assert "0.0.0.0" not in url_of("0.0.0.0", 1)


@pytest.mark.parametrize(
    ("platform", "shared"), [("linux", False), ("win32", False), ("darwin", True), ("freebsd14", True)]
)
def test_systems_that_share_ports_are_known(platform: str, shared: bool) -> None:
    assert shares_ports(platform) is shared


def test_where_ports_are_shared_a_listener_is_found_by_calling_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("rbee.http.ports.holder_of", lambda _: "somebody")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortTakenError, match="somebody"):
            listen("0.0.0.0", port_of(other), "a test")


async def test_connections_send_small_pieces_at_once() -> None:
    def nodelay(writer: asyncio.StreamWriter) -> int:
        return writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(nodelay(writer))
        writer.close()

    sock = listen("127.0.0.1", 0, "a test")
    async with await asyncio.start_server(serve, sock=sock):
        _, writer = await asyncio.open_connection("127.0.0.1", port_of(sock))
        async with asyncio.timeout(10):
            assert await accepted == 1
        writer.close()
        await writer.wait_closed()
