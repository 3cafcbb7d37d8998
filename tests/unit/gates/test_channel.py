"""The line itself: pieces, batches, and what is none of its language."""

from __future__ import annotations

import asyncio
import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.gates.channel import Channel
from rbee.gates.messages import Done, FromGate, GiveUp

MESSAGES: list[FromGate] = [
    GiveUp(number=1),
    Done(number=2, reached=True, first_byte_s=0.25, status=200),
    Done(number=3, reached=False, first_byte_s=None, status=None),
]


def batch(messages: list[FromGate]) -> bytes:
    body = msgspec.msgpack.encode(messages)
    return len(body).to_bytes(4, "big") + body


class Ends:
    def __init__(self) -> None:
        self.got: list[FromGate] = []
        self.closed = 0
        self.channel: Channel[FromGate] = Channel(FromGate, self.got.append, self._closed)

    def _closed(self) -> None:
        self.closed += 1


@given(st.lists(st.integers(1, 60), max_size=6))
async def test_messages_come_whole_however_they_are_cut(cuts: list[int]) -> None:
    ends = Ends()
    data = batch(MESSAGES) + batch(MESSAGES[:1])
    for size in cuts:
        ends.channel.data_received(data[:size])
        data = data[size:]
    ends.channel.data_received(data)
    assert ends.got == [*MESSAGES, MESSAGES[0]]


async def test_what_is_told_in_one_turn_leaves_in_one_piece() -> None:
    mine, theirs = socket.socketpair()
    with theirs:
        mine.setblocking(False)
        ends = Ends()
        for message in MESSAGES[:2]:
            ends.channel.send(message)
        await asyncio.get_running_loop().create_connection(lambda: ends.channel, sock=mine)
        first = await asyncio.to_thread(theirs.recv, 65536)
        for message in MESSAGES:
            ends.channel.send(message)
        second = await asyncio.to_thread(theirs.recv, 65536)
        ends.channel.close()
    assert (first, second) == (batch(MESSAGES[:2]), batch(MESSAGES))


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x02\xff\xff", b"\x00\x00\x00\x01\xc0"])
async def test_who_speaks_something_else_is_hung_up_on(noise: bytes, caplog: pytest.LogCaptureFixture) -> None:
    mine, theirs = socket.socketpair()
    with theirs:
        mine.setblocking(False)
        ends = Ends()
        await asyncio.get_running_loop().create_connection(lambda: ends.channel, sock=mine)
        theirs.sendall(noise)
        assert await asyncio.to_thread(theirs.recv, 10) == b""
    assert (ends.got, ends.closed) == ([], 1)
    assert "speaks something else" in caplog.text


async def test_what_is_told_to_nobody_is_lost_quietly() -> None:
    ends = Ends()
    ends.channel.connection_lost(None)
    ends.channel.send(MESSAGES[0])
    ends.channel.close()
    assert ends.closed == 1
