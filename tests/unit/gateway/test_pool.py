"""Connections to workers, against real sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest
from rbee.gateway import Pool, Target, UpstreamError
from rbee.gateway.message import client_head, request_bytes
from rbee.gateway.pool import Exchange
from rbee.gateway.waited import _HIGH_WATER

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nX-Odd: Yes\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\nX-Odd: Yes\r\n\r\nhello, world"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + SIZED
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nX-Odd: Yes\r\n\r\nhello, world"
ASK = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
PATIENCE_S = 10


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def scripted(*parts: bytes, close: bool = True):
    async def handle(reader, writer) -> None:
        await head_of(reader)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if not close:
            await reader.read()

    return handle


async def body_of(exchange: Exchange) -> bytes:
    parts = []
    while (chunk := await exchange.response.read()) is not None:
        parts.append(chunk)
    return b"".join(parts)


@pytest.mark.parametrize(
    "whole", [CHUNKED, SIZED, INTERIM, UNTIL_CLOSE], ids=["chunked", "sized", "interim", "until close"]
)
async def test_an_answer_is_the_same_however_it_is_cut(serve, pool: Pool, whole: bytes) -> None:
    cut = 0

    async def handle(reader, writer) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await head_of(reader)
        for part in (whole[:cut], whole[cut:]):
            writer.write(part)
            await writer.drain()
            # The client runs in this loop too: it has read the first part when this goes on.
            for _ in range(3):
                await asyncio.sleep(0)

    target = await serve(handle)
    for place in range(1, len(whole)):
        cut = place
        async with asyncio.timeout(PATIENCE_S):
            exchange = await pool.request(target, ASK)
            assert exchange.response.status == 200
            assert (b"x-odd", b"Yes") in exchange.response.headers
            assert (b"link", b"x") not in exchange.response.headers
            assert await body_of(exchange) == b"hello, world"
            exchange.connection.abort()


async def test_every_byte_alone_makes_the_same_answer(serve, pool: Pool) -> None:
    target = await serve(scripted(*(bytes([byte]) for byte in CHUNKED)))
    assert await body_of(await pool.request(target, ASK)) == b"hello, world"


async def test_a_complete_answer_leaves_the_line_for_the_next(serve, pool: Pool) -> None:
    connections = 0

    async def handle(reader, writer) -> None:
        nonlocal connections
        connections += 1
        while True:
            await head_of(reader)
            writer.write(SIZED)

    target = await serve(handle)
    for _ in range(5):
        exchange = await pool.request(target, ASK)
        assert await body_of(exchange) == b"hello, world"
        pool.done(exchange)
    assert connections == 1


@pytest.mark.parametrize(
    "answer",
    [SIZED.replace(b"\r\nX", b"\r\nconnection: close\r\nX"), UNTIL_CLOSE, SIZED + SIZED],
    ids=["close", "until close", "twice"],
)
async def test_a_line_that_is_not_in_step_is_not_used_again(serve, pool: Pool, answer: bytes) -> None:
    target = await serve(scripted(answer))
    exchange = await pool.request(target, ASK)
    assert await body_of(exchange) == b"hello, world"
    assert pool.idle(target) == 0
    pool.done(exchange)


async def test_an_unread_answer_closes_the_line(serve, pool: Pool) -> None:
    gone = asyncio.Event()

    async def handle(reader, writer) -> None:
        await head_of(reader)
        writer.write(SIZED[:-3])
        await reader.read()
        gone.set()

    pool.done(await pool.request(await serve(handle), ASK))
    await asyncio.wait_for(gone.wait(), PATIENCE_S)


async def test_a_line_that_died_while_idle_is_replaced_unnoticed(serve, pool: Pool) -> None:
    answered = 0

    async def handle(reader, writer) -> None:
        nonlocal answered
        await head_of(reader)
        writer.write(SIZED)
        answered += 1
        if answered == 1:
            # The next request comes, and is not answered any more.
            await head_of(reader)

    target = await serve(handle)
    first = await pool.request(target, ASK)
    await body_of(first)
    pool.done(first)
    second = await pool.request(target, ASK)
    assert second.connection is not first.connection
    assert await body_of(second) == b"hello, world"


async def test_bytes_nobody_asked_for_close_an_idle_line(serve, pool: Pool) -> None:
    shout = asyncio.Event()

    async def handle(reader, writer) -> None:
        await head_of(reader)
        writer.write(SIZED)
        await shout.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
        await reader.read()
        shout.clear()

    target = await serve(handle)
    exchange = await pool.request(target, ASK)
    await body_of(exchange)
    pool.done(exchange)
    shout.set()
    async with asyncio.timeout(PATIENCE_S):
        while shout.is_set():
            await asyncio.sleep(0.001)
    assert exchange.connection.lost


async def test_a_slow_reader_keeps_the_buffer_bounded(serve, pool: Pool) -> None:
    total = 32 * 1024 * 1024
    sent = 0

    async def handle(reader, writer) -> None:
        nonlocal sent
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        while sent < total:
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    exchange = await pool.request(await serve(handle), ASK)
    before = -1
    async with asyncio.timeout(PATIENCE_S):
        while sent != before:
            before = sent
            await asyncio.sleep(0.02)
    assert sent < total
    assert exchange.response._buffered <= _HIGH_WATER + 1024 * 1024
    async with asyncio.timeout(PATIENCE_S):
        assert len(await body_of(exchange)) == total


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
        (b"\x00\x01\x02\x03", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x-a: " + b"y" * 70_000 + b"\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x-a: yyyyyyyy\r\n" * 10_000 + b"\r\n", "not HTTP"),
        (SIZED[:30], "closed the connection"),
    ],
    ids=["SSH", "binary", "one huge header", "many headers", "half a head"],
)
async def test_a_peer_that_speaks_otherwise_is_an_error_after_an_answer(
    serve, pool: Pool, answer: bytes, told: str
) -> None:
    target = await serve(scripted(answer))
    with pytest.raises(UpstreamError, match=told) as caught:
        await asyncio.wait_for(pool.request(target, ASK), PATIENCE_S)
    assert caught.value.answered is True


async def test_a_peer_that_closes_without_a_word_has_not_answered(serve, pool: Pool) -> None:
    with pytest.raises(UpstreamError) as caught:
        await pool.request(await serve(scripted()), ASK)
    assert caught.value.answered is False


async def test_a_body_that_breaks_off_is_an_error(serve, pool: Pool) -> None:
    for whole in (SIZED, CHUNKED):
        exchange = await pool.request(await serve(scripted(whole[:-8])), ASK)
        with pytest.raises(UpstreamError) as caught:
            await body_of(exchange)
        assert caught.value.answered is True


async def test_nobody_there_is_an_error_that_names_the_address(pool: Pool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(UpstreamError, match=str(port)) as caught:
            await pool.request(Target(host="127.0.0.1", port=port), ASK)
    assert caught.value.answered is False


def test_an_address_of_version_six_is_bracketed() -> None:
    assert b"host: [::1]:8080\r\n" in request_bytes("/x", client_head([]), b"", Target(host="::1", port=8080), [])
