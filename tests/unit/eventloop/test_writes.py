"""Writes that are gathered over one turn of the event loop, on real connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from rbee.eventloop import GatheredTransport, Writes

PATIENCE_S = 10


class Far:
    """The other side of a connection, and this side's transport."""

    def __init__(self, mine: GatheredTransport, theirs: socket.socket) -> None:
        self.mine = mine
        self.theirs = theirs

    async def read(self) -> bytes:
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.sock_recv(self.theirs, 65536), PATIENCE_S)

    def has_nothing(self) -> bool:
        try:
            return not self.theirs.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    mine, theirs = socket.socketpair()
    theirs.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=mine)
    assert isinstance(transport, asyncio.Transport)
    yield Far(GatheredTransport(transport, Writes()), theirs)
    transport.abort()
    theirs.close()
    await asyncio.sleep(0)


async def test_nothing_leaves_before_the_end_of_the_turn_and_then_all_of_it(far: Far) -> None:
    far.mine.write(b"one")
    far.mine.write(bytearray(b" two"))
    assert far.has_nothing()
    assert far.mine.get_write_buffer_size() == 7
    assert await far.read() == b"one two"
    assert far.mine.get_write_buffer_size() == 0


async def test_several_connections_are_flushed_in_the_order_of_their_first_words() -> None:
    order: list[str] = []

    class Told(asyncio.Transport):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def write(self, data: object) -> None:
            order.append(f"{self.name}:{bytes(data).decode()}")  # type: ignore[call-overload]

        def is_closing(self) -> bool:
            return False

    writes = Writes()
    one, two = (GatheredTransport(Told(name), writes) for name in "ab")
    one.write(b"1")
    two.write(b"2")
    one.write(b"3")
    await asyncio.sleep(0)
    two.write(b"4")
    await asyncio.sleep(0)
    assert order == ["a:13", "b:2", "b:4"]


async def test_what_was_written_arrives_before_the_connection_is_closed(far: Far) -> None:
    far.mine.write(b"bye")
    far.mine.close()
    assert far.mine.is_closing()
    assert await far.read() == b"bye"
    assert await far.read() == b""


async def test_what_was_written_arrives_before_the_end_is_told(far: Far) -> None:
    far.mine.write(b"bye")
    assert far.mine.can_write_eof()
    far.mine.write_eof()
    assert await far.read() == b"bye"
    assert await far.read() == b""


async def test_a_connection_that_is_aborted_sends_nothing_more(far: Far) -> None:
    far.mine.write(b"never")
    far.mine.abort()
    assert await far.read() == b""


async def test_what_is_written_to_a_closed_connection_goes_nowhere(far: Far) -> None:
    far.mine.close()
    far.mine.write(b"late")
    await asyncio.sleep(0)
    assert await far.read() == b""


async def test_all_else_is_the_transports(far: Far) -> None:
    far.mine.pause_reading()
    assert not far.mine.is_reading()
    far.mine.resume_reading()
    assert far.mine.is_reading()
    assert far.mine.get_extra_info("socket") is not None
    assert far.mine.get_extra_info("nothing", 4) == 4
    protocol = asyncio.Protocol()
    far.mine.set_protocol(protocol)
    assert far.mine.get_protocol() is protocol
    far.mine.set_write_buffer_limits(high=10)


async def test_what_is_large_waits_for_nobody(far: Far) -> None:
    far.mine.write(b"x")
    assert far.has_nothing()
    far.mine.write(b"y" * 8192)
    assert not far.has_nothing()
    assert await far.read() == b"x" + b"y" * 8192
    far.mine.write(b"z")
    assert far.has_nothing()
    assert await far.read() == b"z"


async def test_no_connection_waits_for_more_than_a_few_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rbee.eventloop.writes._MOST", 2)
    order: list[str] = []

    class Told(asyncio.Transport):
        def write(self, data: object) -> None:
            order.append(bytes(data).decode())  # type: ignore[call-overload]

        def is_closing(self) -> bool:
            return False

    writes = Writes()
    for number in range(3):
        GatheredTransport(Told(), writes).write(str(number).encode())
    assert order == ["0", "1"]
    await asyncio.sleep(0)
    assert order == ["0", "1", "2"]
